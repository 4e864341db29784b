"""Writes a cell as an export."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flowbench.config import ConfigError
from flowbench.export import cells
from flowbench.export.reading import CARD, FLOW, FORMAT, WEIGHTS, digest
from flowbench.metrics import METRICS
from flowbench.records.record import Record
from flowbench.records.training import weights_path
from flowbench.runtime.files import whole, write_json


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
    record = Record.load(cell)
    training = record.training
    seed = training.best_seed if seed is None else seed
    cells.read(cell, seed)  # so that what is written can be read
    params, weights = training.provenance.params, weights_path(cell, seed).read_bytes()
    facts = {
        "format": FORMAT,
        "suite": training.suite,
        "cell": training.cell,
        "seed": seed,
        "flow": params["cell"]["flow"],
        "options": params["flow"],
        "event": asdict(cells.event_of(params)),
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
        write_json(folder / FLOW, facts | {"sha256": digest(facts)})
        (folder / CARD).write_text(_card(facts), encoding="utf-8")


def _card(facts: dict[str, Any]) -> str:
    """The model card, Markdown."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("card.md.jinja").render(facts, METRICS=METRICS)
