"""A student beside its teacher: the divergence, and the speed of samples."""

import math

import pytest
import torch

from flowbench import flows
from flowbench.certificates import randomised
from flowbench.core import Event, FlowModel
from flowbench.evaluation import distillation
from flowbench.evaluation.distillation import decode_naively, divergence, sample_naively, speedup
from flowbench.flows._student import Student
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.metrics import METRICS
from flowbench.records.record import Record
from flowbench.runtime.seeding import seeded
from tests.tiny_cells import STUDENT, TEACHER

STEADY = {"teacher_bits_per_dim", "kl_to_teacher", "kl_to_teacher_standard_error"}
SPEEDUPS = {"distillation_speedup", "distillation_speedup_naive"}


def pair() -> tuple[Student, FlowModel]:
    """A student and a teacher at random parameters, in the space of standardised vectors."""
    event = Event((3,), standardise=False)
    teacher = randomised(flows.build("maf", event, {"layers": 2, "hidden": [8]}), seed=1)
    return randomised(flows.build("iaf_distilled", event, {"layers": 2, "hidden": [8]}), seed=2), teacher


@pytest.mark.parametrize("dims", [1, 2, 7])
def test_naive_decoding_is_decoding_at_the_price_of_a_pass_per_feature(dims):
    layer = randomised(MaskedAutoregressive(dims, [16, 16])).double()
    z = torch.randn(20, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    passes = []
    layer.network.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        found = decode_naively(layer, z)
    assert len(passes) == dims
    torch.testing.assert_close(found, layer.decode(z)[0], rtol=1e-12, atol=1e-12)


def test_naive_samples_are_the_models_samples():
    event = Event((1, 3, 3), levels=17)
    model = randomised(flows.build("maf", event, {"layers": 3, "hidden": [16], "logit": 0.05}))
    with torch.no_grad(), seeded(0):
        expected = model.sample(200)
    with torch.no_grad(), seeded(0):
        found = sample_naively(model, 200)
    assert found.shape == expected.shape
    # A value on the border of two grey levels may be rounded to either.
    assert float((found == expected).float().mean()) > 0.999


def test_divergence_is_a_mean_over_the_students_samples_with_its_standard_error():
    student, teacher = pair()
    with seeded(0):
        found = divergence(student, teacher, 5000, 700)
    with seeded(1), torch.no_grad():
        x, log_prob = student.sample_with_log_prob(200_000)
        ratio = log_prob - teacher.log_prob(x)
    error = float(ratio.std()) / math.sqrt(5000)
    assert found["kl_to_teacher"] == pytest.approx(float(ratio.mean()), abs=4 * error)
    assert found["kl_to_teacher_standard_error"] == pytest.approx(error, rel=0.2)


def test_divergence_does_not_depend_on_the_batch_size():
    student, teacher = pair()
    values = []
    for batch_size in (1000, 64):
        with seeded(0):
            values.append(divergence(student, teacher, 1000, batch_size)["kl_to_teacher"])
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_speedups_are_ratios_of_the_rates_of_as_many_samples(monkeypatch):
    rates, sizes = iter([60.0, 20.0, 3.0]), []

    def throughput(draw, size, seconds, device):
        sizes.append((size, len(draw())))
        return next(rates)

    monkeypatch.setattr(distillation, "throughput", throughput)
    assert speedup(*pair(), 50, 0.1) == {"distillation_speedup": 3.0, "distillation_speedup_naive": 20.0}
    assert sizes == [(50, 50)] * 3


def test_a_student_has_the_metrics_of_its_teacher_and_more(tiny):
    of_teacher, of_student = (Record.load(tiny.measured(key)).values for key in (TEACHER, STUDENT))
    assert of_student.keys() - of_teacher.keys() == STEADY | SPEEDUPS
    assert of_teacher.keys() <= of_student.keys()
    for name in STEADY | SPEEDUPS:
        assert of_student[name].keys() == {0, 1}
    for seed in (0, 1):
        assert all(of_student[name][seed].value > 0 for name in SPEEDUPS)
        # The noise is the same, and so is the number.
        assert of_student["teacher_bits_per_dim"][seed] == of_teacher["bits_per_dim"][seed]
    assert {name: METRICS[name].host_dependent for name in STEADY | SPEEDUPS} == (
        dict.fromkeys(STEADY, False) | dict.fromkeys(SPEEDUPS, True)
    )
