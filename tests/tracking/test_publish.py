"""Each cell has one finished run with what it left, whatever happened before."""

import shutil

import pytest

from flowbench import tracking
from flowbench.config import ConfigError
from flowbench.records import record
from flowbench.tracking import store
from tests.tracking.stores import (
    FILES,
    KEYS,
    count_calls,
    edit,
    fetched_equals,
    identifiers,
    publish,
    runs,
    seeds_of,
    write,
)


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
        assert [(run.info.status, run.data.tags[tracking.DIGEST_TAG]) for run in of_cell] == [
            ("FINISHED", digests[key])
        ]


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
