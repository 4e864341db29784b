"""Distillation: the divergence from a teacher, and the training of a student on one."""

import math
from pathlib import Path

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from flowbench import flows
from flowbench.config import ConfigError
from flowbench.core import Event, FlowModel
from flowbench.evaluation.cell import CellEvaluation
from flowbench.evaluation.distillation import divergence
from flowbench.flows._student import Student
from flowbench.records.record import Record
from flowbench.records.training import Training
from flowbench.runtime.seeding import seeded
from flowbench.training.cell import CellTraining
from flowbench.training.distillation import Distillation
from tests import tiny_cells
from tests.tiny_cells import STUDENT, TEACHER

WHERE = f"suites/tiny.yaml: {STUDENT}: teacher = '{TEACHER}'"


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


@pytest.fixture
def root(tiny, tmp_path) -> Path:
    """A copy in which the teacher has been trained."""
    return tiny.copy(tmp_path / "copy", TEACHER)


def train(root: Path) -> Path:
    cell = tiny_cells.resolve(root, STUDENT)
    CellTraining(cell).run()
    return cell.folder


@pytest.mark.parametrize("seed", [0, 1])
def test_distillation_lowers_the_divergence_from_the_teacher_of_the_same_seed(tiny, seed):
    cell, training = tiny.cell(STUDENT), Training.load(tiny.trained(STUDENT))
    teacher, another = cell.teacher(seed), cell.teacher(1 - seed)
    student = cell.build(seed)
    student.share_preprocessing(teacher)
    weights = training.weights(seed)

    def measured(teacher: FlowModel) -> float:
        with seeded(0):
            return divergence(student, teacher, 4000, 500)["kl_to_teacher"]

    before = measured(teacher)
    student.load_state_dict(weights)
    after = measured(teacher)
    assert after < 0.5 * before
    assert after < measured(another)
    assert training.seeds[seed].best_validation_loss == pytest.approx(after, rel=0.1)
    for name, value in teacher.transform[: student.preprocessing].state_dict().items():
        assert torch.equal(weights[f"transform.{name}"], value)


def test_the_record(tiny):
    training = Training.load(tiny.trained(STUDENT))
    assert (training.kind, training.likelihood) == ("flow", "exact")
    assert {(one.status, one.steps, one.epochs) for one in training.seeds.values()} == {("finished", 100, None)}
    assert training.provenance.params["cell"]["teacher"] == TEACHER


def test_training_twice_gives_the_same_bytes_and_leaves_the_teacher(tiny, root):
    expected = tiny_cells.steady(tiny.trained(STUDENT))
    teacher = tiny_cells.contents(root / "results")
    found = tiny_cells.steady(train(root))
    assert found.items() <= expected.items()
    assert len({found[f"trained/seed-{seed}.safetensors"] for seed in (0, 1)}) == 2
    assert teacher.items() <= tiny_cells.contents(root / "results").items()


def test_a_teacher_that_has_not_been_trained_is_one_line_and_leaves_the_results(tiny, tmp_path):
    root = tiny.copy(tmp_path / "copy", STUDENT)
    before = tiny_cells.contents(root / "results")
    with pytest.raises(ConfigError) as error:
        train(root)
    path = root / "results" / "tiny" / TEACHER / "trained" / "training.json"
    assert str(error.value) == (
        f"{WHERE}: {path}: is missing; make it again with: "
        f"dvc repro --single-item --force suites/tiny/dvc.yaml:train@{TEACHER}"
    )
    assert tiny_cells.contents(root / "results") == before


@pytest.mark.parametrize("damage", [None, b"no weights"], ids=["missing", "damaged"])
def test_weights_of_the_teacher_that_cannot_be_read_are_one_line(root, damage):
    path = root / "results" / "tiny" / TEACHER / "trained" / "seed-0.safetensors"
    path.unlink()
    if damage:
        path.write_bytes(damage)
    with pytest.raises(ConfigError) as error:
        tiny_cells.resolve(root, STUDENT).teacher(0)
    assert str(error.value).startswith(f"{WHERE}: {path}: ")
    assert str(error.value).endswith(f"dvc repro --single-item --force suites/tiny/dvc.yaml:train@{TEACHER}")
    assert "\n" not in str(error.value)


def test_a_teacher_comes_from_its_weights_and_does_not_learn(tiny):
    tiny.trained(TEACHER)
    teacher = tiny.cell(STUDENT).teacher(1)
    assert not teacher.training
    torch.testing.assert_close(teacher.state_dict(), Training.load(tiny.trained(TEACHER)).weights(1), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("diverged", "reason"),
    [
        (True, "seed 0 of it has diverged; choose another teacher"),
        (False, "has no seed 0; train it with the seeds of the suite"),
    ],
    ids=["diverged", "other seeds"],
)
def test_a_lost_seed_of_the_teacher_fails_that_seed_and_no_other(root, capfd, diverged, reason):
    of_teacher = Training.load(root / "results" / "tiny" / TEACHER)
    seeds = {1: of_teacher.seeds[1]}
    if diverged:
        seeds[0] = of_teacher.seeds[0].model_copy(update={"status": "diverged"})
    folder = root / "results" / "tiny" / TEACHER
    of_teacher.model_copy(update={"seeds": seeds}).save(folder, of_teacher.timings, of_teacher.history)
    folder = train(root)
    found = Training.load(folder).seeds
    assert {seed: one.status for seed, one in found.items()} == {0: "failed", 1: "finished"}
    assert found[0].reason == f"{WHERE}: {reason}"
    assert found[0].reason in capfd.readouterr().err
    assert {path.name for path in (folder / "trained").iterdir()} == {"training.json", "seed-1.safetensors"}
    CellEvaluation(tiny_cells.resolve(root, STUDENT)).run()
    record = Record.load(folder)
    assert record.values["kl_to_teacher"].keys() == {1}
    assert record.values["parameters"].keys() == {0, 1}
    assert record.finished_values["parameters"].keys() == {1}


def test_a_teacher_with_another_logit_names_the_configuration(root):
    tiny_cells.edit(root, "iaf_distilled: {small: {layers: 1", "iaf_distilled: {small: {logit: 0.05, layers: 1")
    with pytest.raises(ConfigError, match=r"^params.yaml: flows.iaf_distilled.small: the logit must be the teacher's$"):
        train(root)
