"""The student of a MAF: it shares its teacher's preprocessing."""

import pytest
import torch

from flowbench import flows
from flowbench.certify import randomised
from flowbench.core import Event, FlowModel, ShapeError
from flowbench.flows._student import Student
from flowbench.runtime.seeding import seeded

IMAGES = Event((1, 2, 3), levels=17)
PLANE = Event((2,))
MAF = {"layers": 2, "hidden": [8]}


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
