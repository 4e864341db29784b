"""The student of a MAF: it shares its teacher's preprocessing, and knows where it is to be found."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from flowbench import config, flows
from flowbench.cell import Cell
from flowbench.certificates import randomised
from flowbench.config import ConfigError, suites
from flowbench.core import Event, FlowModel, ShapeError
from flowbench.flows._student import Student
from flowbench.runtime.seeding import seeded
from tests import fake_cell

IMAGES = Event((1, 2, 3), levels=17)
PLANE = Event((2,))
MAF = {"layers": 2, "hidden": [8]}
PARAMS = """\
data: {moons: {train: 50, validation: 50, test: 50, noise: 0.05}}
flows: {maf: {plane: {layers: 2, hidden: [8]}}, iaf_distilled: {plane: {layers: 2, hidden: [8]}}}
budgets: {quick: {train: {steps: 2, batch_size: 6}}}
"""
SUITE = """\
about: a student
seeds: [0, 1]
device: cpu
cells: [{data: [moons], config: plane, budgets: {quick: [maf, iaf_distilled]}, teachers: {iaf_distilled: maf}}]
"""


def examples(event: Event) -> torch.Tensor:
    with seeded(0):
        return torch.randint(event.levels, (100, *event.shape)) if event.levels else 3 + 2 * torch.randn(100, 2)


def pair(event: Event, logit: float | None) -> tuple[Student, FlowModel]:
    """A student and a teacher at random parameters."""
    teacher = randomised(flows.build("maf", event, {**MAF, "logit": logit}), seed=1)
    teacher.initialise(examples(event))
    student = randomised(flows.build("iaf_distilled", event, {"layers": 3, "hidden": [8], "logit": logit}), seed=2)
    student.share_preprocessing(teacher)
    return student, teacher


def test_it_is_an_iaf():
    options = {"layers": 3, "hidden": [8], "logit": 0.05}
    states = []
    for flow in ("iaf", "iaf_distilled"):
        with seeded(0):
            states.append(flows.build(flow, IMAGES, options).state_dict())
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


@pytest.mark.parametrize(("event", "logit"), [(IMAGES, 0.05), (IMAGES, None), (PLANE, None)], ids=str)
def test_the_divergence_is_the_same_without_the_preprocessing(event, logit):
    student, teacher = (model.double() for model in pair(event, logit))
    for model in (student, teacher):
        model.dequantise = None  # rounding to levels would hide the value that the density is of
    with torch.no_grad():
        x, log_prob = student.sample_with_log_prob(50, torch.Generator().manual_seed(0))
        expected = log_prob - teacher.log_prob(x)
        core = student.without_preprocessing(student)
        x, log_prob = core.sample_with_log_prob(50, torch.Generator().manual_seed(0))
        found = log_prob - student.without_preprocessing(teacher).log_prob(x)
    assert x.shape == (50, event.dims)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_parameters_are_shared_with_what_is_without_preprocessing():
    student, _ = pair(IMAGES, 0.05)
    own = {id(parameter) for parameter in student.parameters()}
    assert {id(parameter) for parameter in student.without_preprocessing(student).parameters()} == own


def test_another_logit_cannot_be_shared():
    teacher = flows.build("maf", IMAGES, {**MAF, "logit": 0.05})
    for logit in (0.01, None):
        student = flows.build("iaf_distilled", IMAGES, {"hidden": [8], "logit": logit})
        with pytest.raises(ShapeError, match="the logit must be the teacher's"):
            student.share_preprocessing(teacher)


@pytest.fixture
def student(tmp_path) -> Cell:
    """A student's cell, resolved, with a teacher of which seed 0 has finished and seed 1 has diverged."""
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "tiny.yaml").write_text(SUITE, encoding="utf-8")
    suites.write(suites.load("tiny", config.load(tmp_path / "params.yaml"), tmp_path), tmp_path)
    folder = tmp_path / "results" / "tiny" / "moons-maf"
    fake_cell.write(folder, flow="maf", options=MAF, lost={1: "diverged"})
    save_file(flows.build("maf", PLANE, MAF).state_dict(), folder / "trained" / "seed-0.safetensors")
    return Cell.resolve("tiny", "moons-iaf_distilled", tmp_path)


def test_a_teacher_comes_from_its_files(student):
    loaded = student.teacher(0)
    assert not loaded.training
    wanted = load_file(student.teacher_folder / "trained" / "seed-0.safetensors")
    torch.testing.assert_close(loaded.state_dict(), wanted, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("seed", "lost", "message"),
    [
        (1, None, "seed 1 of it has diverged; choose another teacher"),
        (7, None, "has no seed 7; train it with the seeds of the suite"),
        (0, "trained/seed-0.safetensors", "dvc repro --single-item --force suites/tiny/dvc.yaml:train@moons-maf"),
        (0, "trained/training.json", "dvc repro --single-item --force suites/tiny/dvc.yaml:train@moons-maf"),
    ],
)
def test_a_teacher_that_is_not_there_is_one_line(student, seed, lost, message):
    if lost:
        (student.teacher_folder / lost).unlink()
    with pytest.raises(ConfigError) as error:
        student.teacher(seed)
    text = str(error.value)
    assert text.startswith("suites/tiny.yaml: moons-iaf_distilled: teacher = 'moons-maf': ")
    assert text.endswith(message)
    assert "\n" not in text
