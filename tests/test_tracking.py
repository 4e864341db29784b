import re
import shutil
from pathlib import Path

import pytest
import torch

from flowbench import tracking
from flowbench.config import ConfigError
from flowbench.records import record
from flowbench.records.training import Training
from flowbench.tracking import store
from tests import fake_cell
from tests.tiny_cells import ENERGY, IMAGES, VECTORS

KEYS = ("moons-nice", "moons-gaussian")
FILES = ("trained/training.json", "history.csv", "train_timings.json", "metrics.json", "seeds.csv", "timings.json")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A database with its tables and no run; making one takes seconds."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def new_store(empty_store, tmp_path_factory, monkeypatch):
    """A function that makes an empty store the one in use, in a root of its own or in a given one."""

    def use(root: Path | None = None) -> Path:
        root = root or tmp_path_factory.mktemp("root")
        shutil.copy(empty_store, root)
        monkeypatch.setattr(store, "ROOT", root)
        return root

    return use


@pytest.fixture
def results(tmp_path, new_store) -> Path:
    """Result files of the suite, and an empty store in use."""
    new_store()
    return write(tmp_path / "tiny")


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
    return {key: [run for run in found if run.data.tags.get(tracking.CELL) == key] for key in keys}


def seeds_of(run):
    """The runs below a cell's, by seed."""
    from mlflow import MlflowClient

    found = MlflowClient(tracking.store_uri()).search_runs(
        [run.info.experiment_id], f"tags.`{tracking.PARENT}` = '{run.info.run_id}'"
    )
    return sorted(found, key=lambda one: int(one.data.tags[tracking.SEED]))


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


def test_a_run_holds_what_the_cell_left(results):
    from mlflow import MlflowClient

    digests = publish(results)
    (run,) = runs()["moons-nice"]
    assert run.info.status == "FINISHED"
    assert run.data.tags[tracking.DIGEST] == digests["moons-nice"]
    expected = {
        "suite": "tiny",
        "dataset": "moons",
        "flow": "nice",
        "kind": "flow",
        "likelihood": "exact",
        "status": "finished",
        "device": "cpu",
        "cell": "moons-nice",
    }
    assert {name: run.data.tags[f"flowbench.{name}"] for name in expected} == expected
    assert run.data.tags["mlflow.source.git.commit"] == 40 * "a"
    assert run.data.params["flow.hidden"] == "[64, 64]"
    assert run.data.params["versions.torch"] == "2.9.0"
    assert run.info.run_name == "moons · nice · 3 seeds"
    of_seeds = seeds_of(run)
    assert [one.info.run_name for one in of_seeds] == ["seed 0", "seed 1", "seed 2"]
    assert all(one.info.status == "FINISHED" for one in of_seeds)
    seeds = [one.data.metrics["bits_per_dim"] for one in of_seeds]
    assert run.data.metrics["bits_per_dim"] == pytest.approx(sum(seeds) / 3, rel=1e-12)
    errors = [one.data.metrics["logdet_error_max"] for one in of_seeds]
    assert run.data.metrics["logdet_error_max"] == max(errors) > min(errors), "the worst of the seeds"
    assert run.data.metrics["train_seconds"] == 50
    assert run.data.metrics["parameters"] == 1000
    assert {split.dataset.name for split in run.inputs.dataset_inputs} == {"moons"}
    assert len({split.dataset.digest for split in run.inputs.dataset_inputs}) == 2
    client = MlflowClient(tracking.store_uri())
    history = client.get_metric_history(of_seeds[1].info.run_id, "validation_loss")
    assert [point.step for point in history] == [50, 100, 150, 200, 250, 300]
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert artifacts == {name.partition("/")[0] for name in FILES} | {"pictures", "log_prob", "log_prob.json"}


def test_a_cell_measured_in_part_is_published(results):
    write(results, not_measured={1: "the solver needs more evaluations"})
    publish(results)
    (run,) = runs()["moons-nice"]
    assert run.data.tags["flowbench.status"] == "measured in part"
    assert "not_measured" not in run.data.metrics


def test_options_of_every_kind_become_parameters(results):
    options = {"hidden": [64, 64], "logit": None, "alpha": 1e-6, "name": "α\n; drop table", "on": True, "empty": ""}
    write(results, options=options)
    publish(results)
    (run,) = runs()["moons-nice"]
    found = {name: run.data.params[f"flow.{name}"] for name in options}
    assert found == {name: str(value) for name, value in options.items()}


def test_all_pictures_and_metrics_are_published(results, tmp_path):
    from mlflow import MlflowClient

    names = ("samples", "reconstructions", "interpolation")
    write(results, pictures=names, values={"bits_per_dim_standard_error": 0.003, "non_finite_share_float64": 0.0})
    digests = publish(results)
    client = MlflowClient(tracking.store_uri())
    (run,) = runs()["moons-nice"]
    pictures = {file.path for file in client.list_artifacts(run.info.run_id, "pictures")}
    assert pictures == {f"pictures/{name}.png" for name in names}
    assert run.data.metrics["bits_per_dim_standard_error"] > 0
    assert run.data.metrics["non_finite_share_float64"] == 0
    tracking.fetch("tiny", digests, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "moons-nice" / "pictures" / "interpolation.png").read_bytes() == b"a picture"


def test_publishing_again_changes_nothing_and_asks_once(results, monkeypatch):
    publish(results)
    before = identifiers()
    counts = count_calls(monkeypatch, "search_runs", "create_run", "log_batch", "log_artifact", "delete_run")
    publish(results)
    assert not any(counts.values())  # the database itself is asked, without MLflow
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.store_uri())
    publish(results)
    assert counts == {"search_runs": 1, "create_run": 0, "log_batch": 0, "log_artifact": 0, "delete_run": 0}
    assert identifiers() == before
    assert all(len(found) == 1 for found in before.values())


@pytest.mark.parametrize("name", ["my work é #1?%20", "a+b&c=d;e,f@g~h!:'[x]{y} é"])
def test_a_repository_in_a_folder_of_any_name_publishes_and_fetches(results, new_store, tmp_path, name):
    root = tmp_path / name
    root.mkdir()
    new_store(root)
    digests = publish(results)
    before = identifiers()
    assert publish(results) == digests
    assert identifiers() == before
    assert all(len(found) == 1 for found in before.values())
    tracking.fetch("tiny", digests, tmp_path / "fetched")
    assert fetched_equals(results, tmp_path / "fetched")
    assert {path.name for path in root.iterdir()} == {"mlflow.db", "mlartifacts"}
    # No database or artifact went elsewhere, though MLflow makes an empty folder of the encoded name.
    elsewhere = [path for path in tmp_path.iterdir() if path.name not in ("tiny", "fetched", name)]
    assert [path for folder in elsewhere for path in (folder.iterdir() if folder.is_dir() else [folder])] == []
    assert not elsewhere or not {"%", "?"}.isdisjoint(name)


def test_changed_results_replace_their_run_alone(results):
    publish(results)
    before = identifiers()
    edit(results / "moons-nice" / "seeds.csv", "0,bits_per_dim,0.25,", "0,bits_per_dim,7.25,")
    publish(results)
    after = runs()
    assert len(after["moons-nice"]) == 1
    assert after["moons-nice"][0].info.run_id not in before["moons-nice"]
    assert seeds_of(after["moons-nice"][0])[0].data.metrics["bits_per_dim"] == 7.25
    assert identifiers()["moons-gaussian"] == before["moons-gaussian"]


def test_runs_of_cells_that_are_not_published_go_and_those_of_others_stay(results):
    from mlflow import MlflowClient

    publish(results)
    client = MlflowClient(tracking.store_uri())
    experiment = client.get_experiment_by_name("flowbench-tiny").experiment_id
    by_hand = [client.create_run(experiment, run_name=name).info.run_id for name in ("a trial of mine", "moons-nice")]
    kept = identifiers()["moons-nice"]
    # As when a cell left the suite; and in part, as when its results are gone.
    tracking.publish("tiny", ["moons-nice"], results)
    assert all(client.get_run(run).info.lifecycle_stage == "active" for run in by_hand)
    assert identifiers() == {"moons-nice": kept, "moons-gaussian": []}
    publish(results)
    assert identifiers()["moons-nice"] == kept
    assert len(identifiers()["moons-gaussian"]) == 1


def test_another_suite_keeps_its_runs(results):
    publish(results)
    before = identifiers()
    tracking.publish("other", ["moons-nice"], results)
    assert identifiers() == before


@pytest.mark.parametrize(
    "point", ["create_run", "log_batch", "log_inputs", "log_artifact", "set_terminated", "delete_run"]
)
def test_a_killed_publish_is_repaired_by_the_next(results, point, monkeypatch):
    from mlflow import MlflowClient

    publish(results)
    before = identifiers()["moons-nice"]
    edit(results / "moons-nice" / "history.csv", "0.001", "0.002")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, point, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish(results)
    assert set(before) <= set(identifiers()["moons-nice"]), "the old run goes only when the new one is complete"
    digests = publish(results)
    for key, of_cell in runs().items():
        assert [(run.info.status, run.data.tags[tracking.DIGEST]) for run in of_cell] == [("FINISHED", digests[key])]


def test_fetch_gives_back_the_same_files(results, tmp_path):
    digests = publish(results)
    tracking.fetch("tiny", digests, tmp_path / "fetched")
    files = {str(path.relative_to(results / "moons-nice")) for path in record.files(results / "moons-nice")}
    assert files == {*FILES, "pictures/density.png", *(f"log_prob/seed-{seed}.npy" for seed in range(3))}
    assert fetched_equals(results, tmp_path / "fetched")
    assert {key: record.digest(tmp_path / "fetched" / key) for key in KEYS} == digests


def test_a_refilled_store_gives_back_the_same_files(results, new_store, tmp_path):
    """The report reads nothing else, so that whoever deletes the store loses nothing."""
    before = publish(results)
    new_store()
    assert publish(results) == before
    tracking.fetch("tiny", before, tmp_path / "fetched")
    assert fetched_equals(results, tmp_path / "fetched")


def test_lost_artifacts_are_published_again(results, tmp_path):
    publish(results)
    shutil.rmtree(store.ROOT / "mlartifacts")
    digests = publish(results)
    tracking.fetch("tiny", digests, tmp_path / "fetched")
    assert all(len(found) == 1 for found in identifiers().values())


def test_a_moved_repository_publishes_to_its_own_place(results, tmp_path, monkeypatch):
    publish(results)
    moved = tmp_path / "moved"
    shutil.copytree(store.ROOT, moved)
    monkeypatch.setattr(store, "ROOT", moved)
    digests = publish(results)
    tracking.fetch("tiny", digests, tmp_path / "fetched")
    assert all(str(moved) in run.info.artifact_uri for of_cell in runs().values() for run in of_cell)


def test_calls_do_not_grow_with_the_history(results, monkeypatch):
    counts = count_calls(monkeypatch, "log_batch", "log_metric", "log_param", "log_inputs", "log_artifact", "set_tag")
    totals = []
    for rows in (1000, 4000):
        write(results, rows=rows)
        publish(results)
        totals.append(sum(counts.values()))
    assert totals[1] == 2 * totals[0]
    assert counts["log_metric"] == counts["log_param"] == 0


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_in_one_line(results, name):
    (results / "moons-nice" / name).unlink()
    step = "train" if "train" in name or name == "history.csv" else "evaluate"
    again = rf"dvc repro --single-item --force suites/tiny/dvc\.yaml:{step}@moons-nice"
    with pytest.raises(ConfigError, match=rf"^\S*moons-nice/{name}: is missing; make it again with: {again}$"):
        publish(results)
    assert identifiers() == {"moons-nice": [], "moons-gaussian": []}


def test_a_cell_that_was_never_published_is_named(results, tmp_path):
    publish(results)
    message = r"no finished run of moons-nice; run `dvc repro stages/dvc\.yaml:publish@tiny`$"
    with pytest.raises(ConfigError, match=message):
        tracking.fetch("tiny", {"moons-nice": "another digest"}, tmp_path / "fetched")


def test_weights_and_unfinished_files_do_not_count(results):
    cell = results / "moons-nice"
    before = record.digest(cell)
    (cell / "trained" / "seed-0.safetensors").write_bytes(b"other weights")
    (cell / ".unfinished-1").mkdir()
    (cell / ".unfinished-1" / "x").write_text("", encoding="utf-8")
    assert record.digest(cell) == before
    (cell / "pictures" / "density.png").write_bytes(b"another picture")
    assert record.digest(cell) != before


def test_a_deleted_cell_takes_its_seeds_along(results):
    from mlflow import MlflowClient

    publish(results)
    tracking.publish("tiny", ["moons-nice"], results)
    client = MlflowClient(tracking.store_uri())
    (run,) = runs()["moons-nice"]
    experiment = client.get_experiment_by_name("flowbench-tiny").experiment_id
    assert {one.info.run_id for one in client.search_runs([experiment])} == {
        run.info.run_id,
        *(one.info.run_id for one in seeds_of(run)),
    }


@pytest.mark.parametrize("first", [[], [VECTORS, IMAGES]], ids=["new", "known"])
def test_the_best_cells_can_be_loaded_by_mlflow(tiny, new_store, tmp_path, first):
    """Also where the cell was published before it was best."""
    import mlflow
    import pandas as pd

    root, keys = new_store(), [VECTORS, IMAGES]
    for key in keys:
        shutil.copytree(tiny.measured(key), root / "results" / key)
    if first:
        tracking.publish("tiny", first, root / "results")
        shutil.rmtree(root / "results" / IMAGES / "pictures")  # so that something is published
    tracking.publish("tiny", keys, root / "results", lambda: [VECTORS])
    (run,) = runs([VECTORS])[VECTORS]
    mlflow.set_tracking_uri(tracking.store_uri())
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model", dst_path=str(tmp_path))
    training = Training.load(tiny.measured(VECTORS))
    losses = {seed: of.best_validation_loss for seed, of in training.seeds.items()}
    expected = tiny.cell(VECTORS).trained(training, min(losses, key=losses.__getitem__))
    x = torch.randn(7, 2)
    found = model.predict(pd.DataFrame(x.numpy()))
    torch.testing.assert_close(torch.from_numpy(found), expected.log_prob(x).detach(), rtol=0, atol=0)
    assert model.predict(pd.DataFrame(), params={"sample": 5}).shape == (5, 2)
    client = mlflow.MlflowClient()
    assert run.data.tags["flowbench.best"] == "true"
    (other,) = runs([IMAGES])[IMAGES]
    assert other.data.tags["flowbench.best"] == "false"
    others = client.list_artifacts(other.info.run_id)
    assert not any(file.path == "model" for file in others)


def test_pictures_while_training_have_their_steps(tiny, new_store):
    from mlflow import MlflowClient

    root = new_store()
    shutil.copytree(tiny.measured(ENERGY), root / "results" / ENERGY)
    tracking.publish("tiny", [ENERGY], root / "results")
    (run,) = runs([ENERGY])[ENERGY]
    files = MlflowClient(tracking.store_uri()).list_artifacts(seeds_of(run)[0].info.run_id, "images")
    steps = {int(re.search(r"step.(\d+).timestamp", file.path)[1]) for file in files}
    assert steps <= set(Training.load(tiny.measured(ENERGY)).snapshots()[1])
    assert min(steps) == 0
    assert len(steps) > 1
