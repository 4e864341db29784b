"""What MLflow shows of a cell: its run, one for each seed below it, and a model to load."""

import re
import shutil

import pytest
import torch

from flowbench import tracking
from flowbench.records.training import Training
from tests.tiny_cells import AUTOENCODER, ENERGY, IMAGES, VECTORS
from tests.tracking.stores import FILES, publish, runs, seeds_of, write


def test_a_run_holds_what_the_cell_left(results):
    from mlflow import MlflowClient

    digests = publish(results)
    (run,) = runs()["moons-nice"]
    assert run.info.status == "FINISHED"
    assert run.data.tags[tracking.DIGEST_TAG] == digests["moons-nice"]
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


@pytest.mark.parametrize("key", [ENERGY, AUTOENCODER])
def test_pictures_while_training_have_their_steps(tiny, new_store, key):
    from mlflow import MlflowClient

    root = new_store()
    shutil.copytree(tiny.measured(key), root / "results" / key)
    tracking.publish("tiny", [key], root / "results")
    (run,) = runs([key])[key]
    files = MlflowClient(tracking.store_uri()).list_artifacts(seeds_of(run)[0].info.run_id, "images")
    steps = {int(re.search(r"step.(\d+).timestamp", file.path)[1]) for file in files}
    assert steps <= set(Training.load(tiny.measured(key)).snapshots()[1])
    assert min(steps) == 0
    assert len(steps) > 1


def test_images_are_above_their_reconstructions_in_rows_of_eight():
    from flowbench.tracking.runs import _sheets

    pairs = torch.arange(2 * 2 * 11 * 3 * 4).reshape(2, 2, 11, 3, 4).numpy()
    sheets = _sheets(pairs)
    assert sheets.shape == (2, 2 * 2 * 3, 8 * 4)
    for (k, which, n), at in {(0, 0, 0): (0, 0), (1, 0, 9): (3, 4), (1, 1, 0): (6, 0), (0, 1, 10): (9, 8)}.items():
        row, column = at
        assert (sheets[k, row : row + 3, column : column + 4] == pairs[k, which, n]).all()
