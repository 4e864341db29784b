"""What the tests of MLflow's runs do with a store."""

from pathlib import Path

from flowbench import tracking
from flowbench.records import record
from tests import fake_cell

KEYS = ("moons-nice", "moons-gaussian")
FILES = ("trained/training.json", "history.csv", "train_timings.json", "metrics.json", "seeds.csv", "timings.json")


def write(results: Path, **options) -> Path:
    for key in KEYS:
        fake_cell.write(results / key, flow=key.partition("-")[2], **options)
    return results


def publish(results):
    return tracking.publish("tiny", KEYS, results)


def runs(keys=KEYS):
    """All runs of the suite's experiment that are not deleted, by cell."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking.store_uri())
    experiment = client.get_experiment_by_name("flowbench-tiny")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    return {key: [run for run in found if run.data.tags.get(tracking.CELL_TAG) == key] for key in keys}


def seeds_of(run):
    """The runs below a cell's, by seed."""
    from mlflow import MlflowClient

    found = MlflowClient(tracking.store_uri()).search_runs(
        [run.info.experiment_id], f"tags.`{tracking.PARENT_TAG}` = '{run.info.run_id}'"
    )
    return sorted(found, key=lambda one: int(one.data.tags[tracking.SEED_TAG]))


def identifiers():
    return {key: [run.info.run_id for run in of_cell] for key, of_cell in runs().items()}


def count_calls(monkeypatch, *names):
    """Count calls of the client's methods."""
    from mlflow import MlflowClient

    counts = dict.fromkeys(names, 0)

    def counted(name, method):
        def call(self, *arguments, **options):
            counts[name] += 1
            return method(self, *arguments, **options)

        return call

    for name in names:
        monkeypatch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))
    return counts


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def fetched_equals(results: Path, fetched: Path) -> bool:
    """Whether the files of each cell came back, all of them and no others."""

    def contents(folder):
        return {path.relative_to(folder): path.read_bytes() for key in KEYS for path in record.files(folder / key)}

    return contents(results) == contents(fetched)
