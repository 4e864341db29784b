"""Distillation: the divergence from a teacher, and the training of a student on one."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.distributions import Independent, Normal, kl_divergence

from flowbench import flows
from flowbench.config import ConfigError, Params
from flowbench.core import Event, FlowModel
from flowbench.evaluation.distillation import StudentEvaluation, divergence
from flowbench.flows.iaf_distilled import Student, load_teacher
from flowbench.runtime.seeding import seeded
from flowbench.training.cell import CellTraining
from flowbench.training.distillation import Distillation, StudentTraining
from tests import tiny_cells

STUDENT, TEACHER = "digits-iaf_distilled", "digits-maf"
WHERE = f"suites.tiny.students.{STUDENT}.teacher"


def gaussian(flow: str, mean: float, std: float) -> FlowModel:
    """A flow in the plane that maps both features alike: equal Gaussians."""
    model = flows.build(flow, Event((2,)), {"layers": 1, "hidden": [4]})
    layer = model.transform.chain[1]
    made = layer.network if flow == "maf" else layer.module.network
    # MAF scales latents and IAF's layer, which is turned round, data: (x - μ) exp(-s).
    log_scale, shift = (math.log(std), mean) if flow == "maf" else (-math.log(std), -mean / std)
    made.last.bias.data = torch.tensor([3 * math.atanh(log_scale / 3), shift]).repeat(2)
    return model


def pair() -> tuple[Student, FlowModel]:
    return gaussian("iaf_distilled", 0.5, 0.7), gaussian("maf", -0.3, 1.2)


def test_it_is_the_closed_form_and_so_is_its_gradient():
    student, teacher = pair()
    distillation = Distillation(student, teacher, batch_size=100_000, anneal_steps=10, validation_seed=0)
    mean, log_std = torch.tensor(0.5, requires_grad=True), torch.tensor(math.log(0.7), requires_grad=True)
    q = Independent(Normal(mean.expand(2), log_std.exp().expand(2)), 1)
    expected = kl_divergence(q, Independent(Normal(torch.full((2,), -0.3), torch.full((2,), 1.2)), 1))
    expected.backward()
    expected = float(expected.detach())
    distillation.validation_samples = 100_000
    assert float(distillation.validation_loss(student)) == pytest.approx(expected, abs=0.01)
    with seeded(1):
        loss = distillation.loss(10)
    assert float(loss.detach()) == pytest.approx(expected, abs=0.01)
    loss.backward()
    # x = (z - m) exp(-s): the mean is -m exp(-s) and the log of the standard deviation -s, bounded softly.
    by_log_scale, by_shift = student.transform.chain[1].module.network.last.bias.grad.view(2, 2).sum(0).tolist()
    slope = 1 - (math.log(0.7) / 3) ** 2
    assert by_shift == pytest.approx(-0.7 * float(mean.grad), abs=0.02)
    assert by_log_scale == pytest.approx(slope * (-0.5 * float(mean.grad) - float(log_std.grad)), abs=0.03)


def test_the_teacher_gets_no_gradient_and_validation_repeats():
    student, teacher = pair()
    distillation = Distillation(student, teacher, batch_size=100, anneal_steps=10, validation_seed=0)
    distillation.loss(0).backward()
    first = distillation.validation_loss(student)
    assert torch.equal(first, distillation.validation_loss(student))
    assert not first.requires_grad
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, Params]:
    """A trained teacher and its student, both with a rate that takes them somewhere in few steps."""
    root = tmp_path_factory.mktemp("tiny")
    params = tiny_cells.prepare(root)
    tiny = params.budgets["tiny"]
    tiny = tiny.model_copy(
        update={"train": tiny.train.model_copy(update={"steps": 100, "learning_rate": 0.02, "anneal_steps": 20})}
    )
    params = params.model_copy(update={"budgets": {"tiny": tiny}})
    CellTraining(params, TEACHER, root).run()
    StudentTraining(params, STUDENT, root).run()
    return root, params


@pytest.mark.parametrize("seed", range(3))
def test_distillation_lowers_the_divergence_from_the_teacher_of_the_same_seed(prepared, seed):
    root, params = prepared
    training = StudentTraining(params, STUDENT, root)
    teacher, another = (
        load_teacher(root / "results" / TEACHER, training.source.event, each, WHERE) for each in (seed, (seed + 1) % 3)
    )
    student = training.build(seed)
    student.share_preprocessing(teacher)
    weights = load_file(root / "results" / STUDENT / f"trained/seed-{seed}.safetensors")

    def measured(teacher: FlowModel) -> float:
        with seeded(0):
            return divergence(student, teacher, 4000, 500)["kl_to_teacher"]

    before = measured(teacher)
    student.load_state_dict(weights)
    after = measured(teacher)
    assert after < 0.5 * before
    assert after < measured(another)
    best = json.loads((root / "results" / STUDENT / "training.json").read_text(encoding="utf-8"))["seeds"][str(seed)]
    assert best["best_validation_loss"] == pytest.approx(after, rel=0.1)
    for name, value in teacher.transform[: student.preprocessing].state_dict().items():
        assert torch.equal(weights[f"transform.{name}"], value)


def test_the_record(prepared):
    root, _ = prepared
    record = json.loads((root / "results" / STUDENT / "training.json").read_text(encoding="utf-8"))
    assert (record["kind"], record["likelihood"]) == ("flow", "exact")
    assert {(entry["status"], entry["steps"], entry["epochs"]) for entry in record["seeds"].values()} == {
        ("finished", 100, None)
    }
    assert record["provenance"]["params"]["cell"]["teacher"] == TEACHER


def test_training_twice_gives_the_same_bytes_and_leaves_the_teacher(prepared):
    root, params = prepared
    before = tiny_cells.contents(root / "results")
    StudentTraining(params, STUDENT, root).run()
    after = tiny_cells.contents(root / "results")
    timings = f"{STUDENT}/train_timings.json"
    assert {**after, timings: b""} == {**before, timings: b""}
    assert len({before[f"{STUDENT}/trained/seed-{seed}.safetensors"] for seed in range(3)}) == 3


def test_a_teacher_that_has_not_been_trained_is_one_line_and_leaves_the_results(prepared, tmp_path):
    root = shutil.copytree(prepared[0], tmp_path / "copy")
    shutil.rmtree(root / "results" / TEACHER)
    before = tiny_cells.contents(root / "results")
    with pytest.raises(ConfigError) as error:
        StudentTraining(prepared[1], STUDENT, root).run()
    assert str(error.value).startswith(f"params.yaml: {WHERE} = '{TEACHER}': has not been trained")
    assert "\n" not in str(error.value)
    assert tiny_cells.contents(root / "results") == before


@pytest.mark.parametrize(
    ("record_of_teacher", "reason"),
    [
        ({"status": "diverged"}, "seed 1 of it has diverged; choose another teacher"),
        (None, "has no seed 1; give both the same, or choose another teacher"),
    ],
    ids=["diverged", "not trained"],
)
def test_a_lost_seed_of_the_teacher_fails_that_seed_and_no_other(prepared, tmp_path, capfd, record_of_teacher, reason):
    root = shutil.copytree(prepared[0], tmp_path / "copy")
    path = root / "results" / TEACHER / "training.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["seeds"]["1"]
    if record_of_teacher:
        record["seeds"]["1"] = record_of_teacher
    path.write_text(json.dumps(record), encoding="utf-8")
    StudentTraining(prepared[1], STUDENT, root).run()
    folder = root / "results" / STUDENT
    seeds = json.loads((folder / "training.json").read_text(encoding="utf-8"))["seeds"]
    assert [seeds[seed]["status"] for seed in "012"] == ["finished", "failed", "finished"]
    assert seeds["1"]["reason"] == f"params.yaml: {WHERE} = '{TEACHER}': {reason}"
    assert seeds["1"]["reason"] in capfd.readouterr().err
    assert {path.name for path in (folder / "trained").iterdir()} == {"seed-0.safetensors", "seed-2.safetensors"}
    StudentEvaluation(prepared[1], STUDENT, root).run()
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["status"], metrics["seeds"], metrics["failed"]) == ("failed", 3, 1)


def test_a_teacher_with_another_logit_names_the_configuration(prepared):
    root, params = prepared
    flows_with_logit = params.flows | {"iaf_distilled": {"small": {"layers": 1, "hidden": [8], "logit": 0.05}}}
    other = params.model_copy(update={"flows": flows_with_logit})
    with pytest.raises(ConfigError, match=r"^params.yaml: flows.iaf_distilled.small: the logit must be the teacher's$"):
        StudentTraining(other, STUDENT, root).run()
