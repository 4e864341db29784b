"""A trained flow in a folder of its own, which `flowbench.load` reads without DVC and without the repository.

Reading one imports torch, NumPy, safetensors and pydantic alone, besides what its flow needs.

=====================  ===============================================================================================
``flow.json``          how to build it, the digest of its weights, what was measured of it, and what it depends on
``flow.safetensors``   its weights
``README.md``          a model card
=====================  ===============================================================================================
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowbench import flows
from flowbench.config import ConfigError, known
from flowbench.core import Event, Generator, Mixture
from flowbench.records.files import TRAINED, TRAINING, RecordError
from flowbench.records.training import Training, weights_path
from flowbench.runtime.files import whole, write_json

FLOW, WEIGHTS, CARD = "flow.json", "flow.safetensors", "README.md"
# Raised by one whenever older exports can no longer be read.
FORMAT = 1


def best_seed(training: Training) -> int:
    """The seed of the lowest validation loss; a `RecordError` if none was trained to the end."""
    losses = {seed: training.seeds[seed].best_validation_loss for seed in training.finished}
    if not losses:
        raise RecordError(f"{training.cell}: no seed of it was trained to the end")
    return min(losses, key=lambda seed: (losses[seed] is None, losses[seed] or 0.0))


def rebuild(folder: Path, seed: int | None = None) -> Generator:
    """The model in the folder of a cell or of an export, on the CPU, in evaluation mode and without gradients.

    Args:
        seed: of a cell's trainings; the one that validated best if left out. An export has one.

    Raises:
        RecordError: a file is missing, of another format, damaged or altered.
        ConfigError: the folder is none of both, or there is no such seed.
    """
    if (folder / FLOW).is_file():
        model = _of_export(folder, seed)
    elif (folder / TRAINED / TRAINING).is_file():
        training = Training.load(folder)
        params = training.provenance.params
        seed = best_seed(training) if seed is None else seed
        if seed not in training.finished:
            there = ", ".join(map(str, training.finished)) or "none"
            raise ConfigError(f"{folder}: seed {seed} was not trained to the end; choose from {there}")
        model = flows.build(params["cell"]["flow"], _event_of(params), params["flow"], str(folder))
        model.load_state_dict(training.weights(seed))
    else:
        raise ConfigError(f"{folder}: holds neither {FLOW} of an export nor {TRAINED}/{TRAINING} of a cell")
    return model.eval().requires_grad_(False)


def export(cell: Path, target: Path, seed: int | None = None) -> None:
    """Write the cell in the folder ``cell`` as an export to ``target``, whole or not at all.

    Args:
        seed: which of its trainings; the one that validated best if left out.

    Raises:
        RecordError: a file of the cell is missing or damaged.
        ConfigError: there is no such seed, or ``target`` holds something else.
    """
    if target.exists() and not (target / FLOW).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"{target}: holds something else; choose a new folder")
    from flowbench.metrics import METRICS
    from flowbench.records.record import Record

    record = Record.load(cell)
    training = record.training
    seed = best_seed(training) if seed is None else seed
    rebuild(cell, seed)  # so that what is written can be read
    params, weights = training.provenance.params, weights_path(cell, seed).read_bytes()
    facts = {
        "format": FORMAT,
        "suite": training.suite,
        "cell": training.cell,
        "seed": seed,
        "flow": params["cell"]["flow"],
        "options": params["flow"],
        "event": asdict(_event_of(params)),
        "likelihood": training.likelihood,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()},
        "metrics": {
            name: {"value": str(by_seed[seed].value), "unit": METRICS[name].unit, "n": by_seed[seed].n}
            for name, by_seed in record.values.items()
            if seed in by_seed
        },
        "data": {"name": params["cell"]["data"], "options": params["data"], "sha256": training.provenance.data},
        "budget": params["budget"],
        "versions": training.provenance.versions,
        "commit": training.timings.git_commit,
        "device": str(training.timings.host),
    }
    with whole(target) as folder:
        (folder / WEIGHTS).write_bytes(weights)
        write_json(folder / FLOW, facts)
        (folder / CARD).write_text(_card(facts), encoding="utf-8")


def _of_export(folder: Path, seed: int | None) -> Generator:
    """The model of an export, whose weights must be those that it was written with."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = folder / FLOW
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise RecordError(f"{path}: is of format {facts['format']}, and this version reads {FORMAT}")
        own, event, wanted = facts["seed"], _event(facts["event"]), facts["weights"]["sha256"]
        name, options = facts["flow"], facts["options"]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise RecordError(f"{path}: is damaged ({reason}); export the flow again") from None
    if seed not in (None, own):
        raise ConfigError(f"{folder}: holds seed {own} alone, and not {seed}")
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise RecordError(f"{folder / WEIGHTS}: cannot be read ({error.strerror}); export the flow again") from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise RecordError(f"{folder / WEIGHTS}: is not what {FLOW} was written with; export the flow again")
    try:
        known(str(name), flows.names(), f"{path}: flow", "flow")
    except ConfigError as error:
        raise ConfigError(f"{error} (the flow of a plug-in loads only where the plug-in is installed)") from None
    model = flows.build(name, event, options, str(path))
    try:
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RecordError(f"{folder}: weights and {FLOW} do not fit together ({reason:.200})") from None
    return model


def _event_of(params: dict[str, Any]) -> Event:
    """What the data of a cell look like, from the parameters on record."""
    from flowbench import data

    return data.load(params["cell"]["data"], **params["data"]).event


def _event(facts: dict[str, Any]) -> Event:
    start = facts["start"] and Mixture(tuple(map(tuple, facts["start"]["centres"])), facts["start"]["std"])
    return Event(tuple(map(int, facts["shape"])), facts["levels"], facts["standardise"], start)


def _card(facts: dict[str, Any]) -> str:
    """The model card, Markdown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from flowbench.metrics import METRICS

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("card.md.jinja").render(facts, METRICS=METRICS)
