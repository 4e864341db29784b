"""The projection of DVC's results into MLflow: one finished run per cell.

The only file that knows MLflow. What a cell left on disk is the truth; a run holds those files as artifacts, and
parameters, metrics and tags made from them for MLflow's pages. The store can be deleted at any time: publishing
fills it again, and `fetch` hands the same files to the report.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from flowbench.config import ConfigError, suites
from flowbench.records import record
from flowbench.records.evaluation import combined
from flowbench.records.files import METRICS_FILE, RecordError
from flowbench.records.record import Record
from flowbench.runtime.files import without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

ROOT = Path(__file__).resolve().parents[1]
CELL, DIGEST = "flowbench.cell", "flowbench.digest"
# MLflow draws no more points of a curve than this; the artifact history.csv has all of them.
_CURVE_POINTS = 300
_METRICS_PER_CALL = 1000
# Cell, digest, status and place of each run that is shown in a suite's experiment.
_RUNS = """
    SELECT cell.value, digest.value, runs.status, runs.artifact_uri
    FROM runs
    JOIN experiments ON experiments.experiment_id = runs.experiment_id
    JOIN tags AS cell ON cell.run_uuid = runs.run_uuid AND cell.key = ?
    LEFT JOIN tags AS digest ON digest.run_uuid = runs.run_uuid AND digest.key = ?
    WHERE experiments.name = ? AND experiments.artifact_location = ?
        AND experiments.lifecycle_stage = 'active' AND runs.lifecycle_stage = 'active'
"""
# Whose errors mean that the store cannot be reached; MLflow lets some of theirs through.
_LIBRARIES = ("mlflow", "requests", "sqlalchemy")


def store_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or the database at the repository's root whatever the working directory."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    from sqlalchemy import URL, make_url

    path = str(ROOT / "mlflow.db")
    uri = f"sqlite:///{path}"
    # Encoded only where it must be: MLflow makes an empty folder beside the right one, whose name stays encoded.
    return uri if make_url(uri).database == path else URL.create("sqlite", database=path).render_as_string()


def publish(suite: str, keys: Iterable[str], results: Path) -> dict[str, str]:
    """Make sure that each cell has exactly one finished run, with what ``results/<key>`` holds now.

    The runs of all other cells of the suite are deleted; runs that somebody else logged stay.
    Cells whose digest is there already cost one query in all. A new run is complete before the old one goes, so
    that a crash at any point is repaired by the next call.

    Returns:
        The digest of each cell's files.

    Raises:
        ConfigError: a result file is missing (nothing is published then), or MLflow does not answer.
    """
    try:
        digests = {key: record.digest(results / key) for key in keys}
    except RecordError as error:
        raise ConfigError(str(error)) from None
    if _is_complete(suite, digests):
        return digests
    with _client() as client:
        experiment = _experiment(client, suite)
        runs, kept = _runs(client, experiment), set()
        for key, wanted in digests.items():
            kept.add(_find(runs, key, wanted) or _create(client, experiment, suite, key, results / key, wanted))
        for run in runs:
            if run.info.run_id not in kept:
                client.delete_run(run.info.run_id)
    return digests


def fetch(suite: str, digests: dict[str, str], folder: Path) -> dict[str, str]:
    """Copy the files of each cell's published run to ``folder/<key>``.

    Returns:
        The address of each run in MLflow's pages, where `mlflow ui` serves them if no server is set.

    Raises:
        ConfigError: a cell has no finished run with the digest that was published.
    """
    pages = store_uri() if store_uri().startswith("http") else "http://127.0.0.1:5000"
    addresses = {}
    with _client() as client:
        experiment = _experiment(client, suite)
        runs = _runs(client, experiment)
        for key, wanted in digests.items():
            found = _find(runs, key, wanted)
            if not found:
                where = without_secrets(store_uri())
                raise ConfigError(
                    f"MLflow at {where}: no finished run of {key}; run `dvc repro {suites.stage(suite, 'publish')}`"
                )
            (folder / key).mkdir(parents=True)
            client.download_artifacts(found, "", str(folder / key))
            addresses[key] = f"{without_secrets(pages)}/#/experiments/{experiment.experiment_id}/runs/{found}"
    return addresses


def _is_complete(suite: str, digests: dict[str, str]) -> bool:
    """Whether the database at the repository's root holds these runs alone, with their artifacts.

    It is asked at each `dvc repro`, and without MLflow, whose import takes seconds. A schema that this query does not
    fit, as any other trouble, means no; then MLflow looks itself.
    """
    database = ROOT / "mlflow.db"
    if os.environ.get("MLFLOW_TRACKING_URI") or not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_RUNS, (CELL, DIGEST, f"flowbench-{suite}", _location(suite))).fetchall()
    except sqlite3.Error:
        return False
    found = sorted((key, digest) for key, digest, status, uri in rows if status == "FINISHED" and _has_artifacts(uri))
    return len(found) == len(rows) and found == sorted(digests.items())


@contextmanager
def _client() -> Iterator[MlflowClient]:
    """A connection to the store, whose failures become one line after a bounded time."""
    defaults = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Its own seven retries of two minutes keep a wrong address busy for a quarter of an hour.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)  # it logs the traceback of what it raises
    try:
        yield MlflowClient(store_uri())
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _LIBRARIES:
            raise
        again = "no result is lost; run the command again when it answers"
        raise ConfigError(without_secrets(f"MLflow at {store_uri()}: {_reason(error)}; {again}")) from error


def _reason(error: BaseException) -> str:
    """What a library said first, in one line: those above it add statements and parameters."""
    while error.__cause__:
        error = error.__cause__
    return next(iter(str(error).splitlines()), type(error).__name__)


def _experiment(client: MlflowClient, suite: str) -> Experiment:
    """The suite's experiment; made where it is missing, and made again where the repository has moved."""
    name = f"flowbench-{suite}"
    # A server keeps artifacts where it likes. Otherwise they lie beside the database, and by an absolute path.
    location = None if store_uri().startswith("http") else _location(suite)
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    if found and location not in (None, found.artifact_location):
        client.rename_experiment(found.experiment_id, f"{name} (moved, {found.experiment_id})")
        client.delete_experiment(found.experiment_id)
        found = None
    return found or client.get_experiment(client.create_experiment(name, artifact_location=location))


def _location(suite: str) -> str:
    """Where the artifacts of a suite's runs lie on this machine."""
    return (ROOT / "mlartifacts" / f"flowbench-{suite}").as_uri()


def _runs(client: MlflowClient, experiment: Experiment) -> list[Run]:
    """The runs of an experiment that `publish` made, newest first."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        runs += [run for run in page if CELL in run.data.tags]
        if not (token := page.token):
            return runs


def _find(runs: list[Run], key: str, digest: str) -> str | None:
    """The newest complete run of a cell with this digest whose artifacts, if they are on this machine, are there."""
    for run in runs:
        tags = run.data.tags
        complete = (tags[CELL], tags.get(DIGEST), run.info.status) == (key, digest, "FINISHED")
        if complete and _has_artifacts(run.info.artifact_uri):
            return run.info.run_id
    return None


def _has_artifacts(uri: str) -> bool:
    """Whether a run's files are where they were put, as far as this machine can see."""
    place = urlsplit(uri)
    # MLflow encodes the special characters of a path.
    return place.scheme not in ("", "file") or (Path(unquote(place.path)) / METRICS_FILE).is_file()


def _create(client: MlflowClient, experiment: Experiment, suite: str, key: str, folder: Path, wanted: str) -> str:
    """A new run with everything that the cell left; its identifier."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    found = Record.load(folder)
    training, summary = found.training, json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    provenance, timings = training.provenance, training.timings
    cell = provenance.params["cell"]
    started = min(seed["started"] for seed in timings.seeds.values())
    ended = max(seed["ended"] for seed in timings.seeds.values())
    tags = {
        CELL: key,
        DIGEST: wanted,
        "flowbench.suite": suite,
        "flowbench.dataset": cell["data"],
        "flowbench.flow": cell["flow"],
        "flowbench.kind": training.kind,
        "flowbench.likelihood": training.likelihood,
        "flowbench.status": summary["status"],
        "flowbench.device": timings.host.device,
        "mlflow.source.git.commit": timings.git_commit or "unknown",
    }
    counts = [(name, float(summary[name]), 0) for name in ("seeds", "diverged", "failed")]
    points = [*counts, *_values(found), *_curves(found)]
    metrics = [Metric(name, value, round(1000 * ended), step) for name, value, step in points]
    groups = provenance.params | {"versions": provenance.versions}
    params = [Param(f"{group}.{name}", str(value)) for group in groups for name, value in groups[group].items()]
    run = client.create_run(experiment.experiment_id, round(1000 * started), tags, run_name=key).info.run_id
    # In few calls: written one by one, a curve takes seconds.
    for i in range(0, len(metrics), _METRICS_PER_CALL):
        client.log_batch(run, metrics[i : i + _METRICS_PER_CALL])
    client.log_batch(run, params=params)
    source = json.dumps({"uri": f"data/{cell['data']}"})
    inputs = [
        DatasetInput(
            Dataset(name=cell["data"], digest=fingerprint[:32], source_type="local", source=source),
            tags=[InputTag("mlflow.data.context", split)],
        )
        for split, fingerprint in provenance.data.items()
    ]
    client.log_inputs(run, datasets=inputs)
    for path in record.files(folder):
        parent = path.relative_to(folder).parent.as_posix()
        client.log_artifact(run, str(path), None if parent == "." else parent)
    client.set_terminated(run, "FINISHED", end_time=round(1000 * ended))
    return run


def _values(found: Record) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of what was measured: combined over the seeds under plain names, then seed by seed."""
    for name, value in combined(found.finished_values).items():
        yield name, value, 0
    for name, by_seed in found.values.items():
        for seed, measured in by_seed.items():
            yield f"seed_{seed}/{name}", measured.value, 0


def _curves(found: Record) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of the losses while training, thinned to what MLflow draws."""
    for (seed, rows), name in product(found.training.history.items(), ("loss", "validation_loss")):
        points = [(value, row.step) for row in rows if (value := getattr(row, name)) is not None]
        for value, step in points[:: -(-len(points) // _CURVE_POINTS) or 1]:
            yield f"seed_{seed}/{name}", value, step
