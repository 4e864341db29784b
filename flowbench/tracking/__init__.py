"""The projection of DVC's results into MLflow: one finished run per cell, and below it one per seed.

The only package that knows MLflow. What a cell left on disk is the truth; a run holds those files as artifacts, and
parameters, metrics and tags made from them for MLflow's pages. The store can be deleted at any time: publishing
fills it again, and `fetch` hands the same files to the report.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from flowbench.config import ConfigError
from flowbench.records import record
from flowbench.records.errors import RecordError
from flowbench.runtime.files import without_secrets
from flowbench.tracking import store
from flowbench.tracking.store import CELL_TAG, DIGEST_TAG, MODEL, PARENT_TAG, SEED_TAG, TABLE, store_uri

__all__ = ["CELL_TAG", "DIGEST_TAG", "PARENT_TAG", "SEED_TAG", "fetch", "publish", "store_uri"]


def publish(
    suite: str, keys: Iterable[str], results: Path, best: Callable[[], Collection[str]] = tuple
) -> dict[str, str]:
    """Make sure that each cell has exactly one finished run, with what ``results/<key>`` holds now.

    The runs of all other cells of the suite are deleted; runs that somebody else logged stay.
    Cells whose digest is there already cost one query in all. A new run is complete before the old one goes, so
    that a crash at any point is repaired by the next call.

    Args:
        best: finds the cells whose models are logged, too, so that MLflow can load them. It is called only where
            something is published.

    Returns:
        The digest of each cell's files.

    Raises:
        ConfigError: a result file is missing (nothing is published then), or MLflow does not answer.
    """
    try:
        digests = {key: record.digest(results / key) for key in keys}
    except RecordError as error:
        raise ConfigError(str(error)) from None
    if store.is_complete(suite, digests):
        return digests
    leading = best()
    with store.connected() as client:
        from flowbench.tracking.runs import Publisher

        publisher = Publisher(client, store.experiment_of(client, suite), suite)
        runs, kept = store.runs_of(client, publisher.experiment), set()
        for key, wanted in digests.items():
            if found := store.find(runs, key, wanted):
                publisher.mark(found, results / key, best=key in leading)
            kept.add(found or publisher.create(key, results / key, wanted, best=key in leading))
        # The seeds first: a cell's run that should not be there tells the next call that something is left to do.
        stale = [run for run in runs if SEED_TAG in run.data.tags and run.data.tags.get(PARENT_TAG) not in kept]
        stale += [run for run in runs if CELL_TAG in run.data.tags and run.info.run_id not in kept]
        for run in stale:
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
    with store.connected() as client:
        experiment = store.experiment_of(client, suite)
        runs = store.runs_of(client, experiment)
        for key, wanted in digests.items():
            found = store.find(runs, key, wanted)
            if not found:
                where = without_secrets(store_uri())
                raise ConfigError(
                    f"MLflow at {where}: no finished run of {key}; run `dvc repro stages/dvc.yaml:publish@{suite}`"
                )
            (folder / key).mkdir(parents=True)
            for artifact in client.list_artifacts(found):
                if artifact.path not in (MODEL, TABLE):
                    client.download_artifacts(found, artifact.path, str(folder / key))
            addresses[key] = f"{without_secrets(pages)}/#/experiments/{experiment.experiment_id}/runs/{found}"
    return addresses
