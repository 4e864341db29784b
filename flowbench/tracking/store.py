"""MLflow's store: where it is, what it holds of a suite, and its failures in one line."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from flowbench.config import ConfigError
from flowbench.records.files import METRICS_FILE
from flowbench.runtime.files import without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

ROOT = Path(__file__).resolve().parents[2]
# Tags. The run of a cell has the first three; the runs of its seeds, which lie below it, have the fourth.
CELL_TAG, DIGEST_TAG, BEST_TAG, SEED_TAG = "flowbench.cell", "flowbench.digest", "flowbench.best", "flowbench.seed"
PARENT_TAG = "mlflow.parentRunId"
# Artifacts of a cell's run that are made for MLflow; all others are files of the cell.
MODEL, TABLE = "model", "log_prob.json"
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


def is_complete(suite: str, digests: Mapping[str, str]) -> bool:
    """Whether the database at the repository's root holds these runs alone, with their artifacts.

    It is asked at each `dvc repro`, and without MLflow, whose import takes seconds. A schema that this query does not
    fit, as any other trouble, means no; then MLflow looks itself.
    """
    database = ROOT / "mlflow.db"
    if os.environ.get("MLFLOW_TRACKING_URI") or not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_RUNS, (CELL_TAG, DIGEST_TAG, f"flowbench-{suite}", _location(suite))).fetchall()
    except sqlite3.Error:
        return False
    found = sorted((key, digest) for key, digest, status, uri in rows if status == "FINISHED" and _has_artifacts(uri))
    return len(found) == len(rows) and found == sorted(digests.items())


@contextmanager
def connected() -> Iterator[MlflowClient]:
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


def experiment_of(client: MlflowClient, suite: str) -> Experiment:
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


def runs_of(client: MlflowClient, experiment: Experiment) -> list[Run]:
    """The runs of an experiment that `publish` made, of cells and of their seeds, newest first."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        runs += [run for run in page if CELL_TAG in run.data.tags or SEED_TAG in run.data.tags]
        if not (token := page.token):
            return runs


def find(runs: list[Run], key: str, digest: str) -> str | None:
    """The newest complete run of a cell with this digest whose artifacts, if they are on this machine, are there."""
    for run in runs:
        tags = run.data.tags
        complete = (tags.get(CELL_TAG), tags.get(DIGEST_TAG), run.info.status) == (key, digest, "FINISHED")
        if complete and _has_artifacts(run.info.artifact_uri):
            return run.info.run_id
    return None


def _has_artifacts(uri: str) -> bool:
    """Whether a run's files are where they were put, as far as this machine can see."""
    place = urlsplit(uri)
    # MLflow encodes the special characters of a path.
    return place.scheme not in ("", "file") or (Path(unquote(place.path)) / METRICS_FILE).is_file()
