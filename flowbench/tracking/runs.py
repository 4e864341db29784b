"""The runs of one cell: its own, with all that it left, and one for each seed below it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, Param

from flowbench.records import record
from flowbench.records.evaluation import combined
from flowbench.records.record import Record
from flowbench.tracking.store import BEST_TAG, CELL_TAG, DIGEST_TAG, MODEL, PARENT_TAG, SEED_TAG, TABLE

# MLflow draws no more points of a curve than this; the artifact history.csv has all of them.
_CURVE_POINTS = 300
_METRICS_PER_CALL = 1000
# A table of more rows takes MLflow's page long to show; the artifact log_prob has all of them.
_TABLE_ROWS = 1000
# As many as an autoencoder of ten epochs has, with one before the first.
_PICTURES = 11
_IN_A_ROW = 8
# The least side of a picture, in pixels: MLflow shows small ones small.
_SIDE = 192


class Publisher:
    """Writes cells into one experiment.

    Args:
        client: of the store.
        experiment: of the suite.
        suite: its name.
    """

    def __init__(self, client: MlflowClient, experiment: Experiment, suite: str):
        self._client, self.experiment, self._suite = client, experiment, suite

    def create(self, key: str, folder: Path, digest: str, *, best: bool) -> str:
        """A new run with everything that the cell in ``folder`` left; its identifier."""
        found = Record.load(folder)
        training, summary = found.training, found.evaluation.summary(found.training)
        provenance, timings = training.provenance, training.timings
        data = provenance.params["cell"]["data"]
        started = min(seed["started"] for seed in timings.seeds.values())
        ended = max(seed["ended"] for seed in timings.seeds.values())
        tags = self._tags(found) | {CELL_TAG: key, DIGEST_TAG: digest, "flowbench.status": summary["status"]}
        seeds = "seed" if len(training.seeds) == 1 else "seeds"
        name = f"{data} · {key.removeprefix(f'{data}-')} · {len(training.seeds)} {seeds}"
        run = self._start(name, started, tags)
        counts = {name: float(summary[name]) for name in ("seeds", "diverged", "failed")}
        self._log_metrics(run, ended, [(*pair, 0) for pair in (counts | combined(found.finished_values)).items()])
        groups = provenance.params | {"versions": provenance.versions}
        params = [Param(f"{group}.{name}", str(value)) for group in groups for name, value in groups[group].items()]
        self._client.log_batch(run, params=params)
        self._client.log_inputs(run, datasets=_splits(data, provenance.data))
        for path in record.files(folder):
            parent = path.relative_to(folder).parent.as_posix()
            self._client.log_artifact(run, str(path), None if parent == "." else parent)
        if log_prob := found.evaluation.log_prob:
            self._client.log_table(run, _table(log_prob), TABLE)
        for seed in training.seeds:
            self._create_seed(run, found, seed)
        self.mark(run, folder, best=best)
        self._client.set_terminated(run, "FINISHED", end_time=round(1000 * ended))
        return run

    def mark(self, run: str, folder: Path, *, best: bool) -> None:
        """Say whether the cell in ``folder`` is the best on its data; of the best, log a model that MLflow can load."""
        self._client.set_tag(run, BEST_TAG, str(best).lower())
        if not best or any(file.path == MODEL for file in self._client.list_artifacts(run)):
            return
        # By its name: a report, which imports this package, does not depend on the flows.
        model = import_module("flowbench.tracking.model")
        with tempfile.TemporaryDirectory() as scratch:
            model.save(folder, Path(scratch, MODEL))
            self._client.log_artifacts(run, str(Path(scratch, MODEL)), MODEL)

    def _create_seed(self, parent: str, found: Record, seed: int) -> None:
        """A run below the cell's: metrics under their plain names, curves, and pictures by step."""
        training = found.training
        outcome, times = training.seeds[seed], training.timings.seeds[seed]
        tags = self._tags(found) | {SEED_TAG: str(seed), PARENT_TAG: parent, "flowbench.status": outcome.status}
        run = self._start(f"seed {seed}", times["started"], tags)
        values = {name: by_seed[seed].value for name, by_seed in found.values.items() if seed in by_seed}
        points = [(name, value, outcome.best_step) for name, value in values.items()]
        self._log_metrics(run, times["ended"], [*points, *_curves(found, seed)])
        if seed == training.provenance.params["cell"]["seeds"][0]:  # whose training takes snapshots
            for step, picture in _pictures(found):
                self._client.log_image(run, picture, key="while training", step=step)
        status = "FINISHED" if outcome.status == "finished" else "FAILED"
        self._client.set_terminated(run, status, end_time=round(1000 * times["ended"]))

    def _tags(self, found: Record) -> dict[str, str]:
        training = found.training
        cell = training.provenance.params["cell"]
        return {
            "flowbench.suite": self._suite,
            "flowbench.dataset": cell["data"],
            "flowbench.flow": cell["flow"],
            "flowbench.kind": training.kind,
            "flowbench.likelihood": training.likelihood,
            "flowbench.device": training.timings.host.device,
            "mlflow.source.git.commit": training.timings.git_commit or "unknown",
        }

    def _start(self, name: str, started: float, tags: dict[str, str]) -> str:
        experiment = self.experiment.experiment_id
        return self._client.create_run(experiment, round(1000 * started), tags, run_name=name).info.run_id

    def _log_metrics(self, run: str, ended: float, points: list[tuple[str, float, int]]) -> None:
        metrics = [Metric(name, value, round(1000 * ended), step) for name, value, step in points]
        # In few calls: written one by one, a curve takes seconds.
        for i in range(0, len(metrics), _METRICS_PER_CALL):
            self._client.log_batch(run, metrics[i : i + _METRICS_PER_CALL])


def _splits(data: str, fingerprints: Mapping[str, str]) -> list[DatasetInput]:
    source = json.dumps({"uri": f"data/{data}"})
    return [
        DatasetInput(
            Dataset(name=data, digest=fingerprint[:32], source_type="local", source=source),
            tags=[InputTag("mlflow.data.context", split)],
        )
        for split, fingerprint in fingerprints.items()
    ]


def _table(log_prob: Mapping[int, np.ndarray]) -> dict[str, list]:
    """The log-likelihood in nats of the first test examples, by seed."""
    rows = {f"seed {seed}": of_seed[:_TABLE_ROWS].astype(float).tolist() for seed, of_seed in log_prob.items()}
    return {"example": list(range(len(next(iter(rows.values()))))), **rows}


def _curves(found: Record, seed: int) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of the losses while training, thinned to what MLflow draws."""
    for name in ("loss", "validation_loss"):
        rows = found.training.history.get(seed, [])
        points = [(value, row.step) for row in rows if (value := getattr(row, name)) is not None]
        for value, step in points[:: -(-len(points) // _CURVE_POINTS) or 1]:
            yield name, value, step


def _pictures(found: Record) -> Iterator[tuple[int, np.ndarray]]:
    """What was seen of the model while it learnt: steps, and pictures ``(h, w)`` uint8 for MLflow."""
    if not (snapshots := found.training.snapshots()):
        return
    frames, steps = snapshots
    chosen = np.unique(np.linspace(0, len(steps) - 1, _PICTURES).round().astype(int))
    if frames.dtype == np.uint8:  # images above their reconstructions, those of several channels as the channels' mean
        pictures = _sheets(frames.mean(axis=3))
    else:  # densities: black is the highest of the last, and the second coordinate goes up
        values = np.nan_to_num(frames[:, ::-1].astype(float), posinf=0.0)
        pictures = 255 * (1 - np.minimum(values / (np.quantile(values[-1], 0.999) or 1.0), 1))
    times = max(1, _SIDE // pictures.shape[1])
    for i in chosen:
        yield steps[i], pictures[i].repeat(times, 0).repeat(times, 1).astype(np.uint8)


def _sheets(images: np.ndarray) -> np.ndarray:
    """Images ``(k, 2, n, h, w)`` in rows of eight, the second of each pair of sheets below the first: ``(k, H, W)``."""
    k, _, n, height, width = images.shape
    missing = -n % _IN_A_ROW
    whole = np.pad(images, ((0, 0), (0, 0), (0, missing), (0, 0), (0, 0)))
    rows = whole.reshape(k, -1, _IN_A_ROW, height, width).swapaxes(2, 3)
    return rows.reshape(k, -1, _IN_A_ROW * width)
