"""A student beside its teacher: the divergence, and the speed of samples."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
import yaml

from flowbench import flows
from flowbench.certify import randomised
from flowbench.core import Event, FlowModel
from flowbench.evaluation import distillation
from flowbench.evaluation.cell import CellEvaluation
from flowbench.evaluation.distillation import StudentEvaluation, decode_naively, divergence, sample_naively, speedup
from flowbench.flows.iaf_distilled import Student
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.metrics import METRICS
from flowbench.networks.made import MADE
from flowbench.runtime.seeding import seeded
from flowbench.training.cell import CellTraining
from flowbench.training.distillation import StudentTraining
from tests import tiny_cells

STUDENT, TEACHER = "digits-iaf_distilled", "digits-maf"
STEADY = {"teacher_bits_per_dim", "kl_to_teacher", "kl_to_teacher_standard_error"}
SPEEDUPS = {"distillation_speedup", "distillation_speedup_naive"}


def pair() -> tuple[Student, FlowModel]:
    """A student and a teacher at random parameters, in the space of standardised vectors."""
    event = Event((3,), standardise=False)
    teacher = randomised(flows.build("maf", event, {"layers": 2, "hidden": [8]}), seed=1)
    return randomised(flows.build("iaf_distilled", event, {"layers": 2, "hidden": [8]}), seed=2), teacher


@pytest.mark.parametrize("dims", [1, 2, 7])
def test_naive_decoding_is_decoding_at_the_price_of_a_pass_per_feature(dims):
    layer = randomised(MaskedAutoregressive(MADE(dims, [16, 16], outputs=2))).double()
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


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """The results of a teacher and its student, trained and measured."""
    root = tmp_path_factory.mktemp("tiny")
    params = tiny_cells.prepare(root)
    CellTraining(params, TEACHER, root).run()
    CellEvaluation(params, TEACHER, root).run()
    StudentTraining(params, STUDENT, root).run()
    StudentEvaluation(params, STUDENT, root).run()
    return root / "results"


def values(folder: Path) -> dict[tuple[str, str], float]:
    with (folder / "seeds.csv").open(newline="", encoding="utf-8") as file:
        return {(row["seed"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}


def test_a_student_has_the_metrics_of_its_teacher_and_more(measured):
    of_teacher, of_student = values(measured / TEACHER), values(measured / STUDENT)
    assert of_student.keys() - of_teacher.keys() == {(seed, name) for seed in "012" for name in STEADY}
    assert of_teacher.keys() <= of_student.keys()
    timings = [
        json.loads((measured / key / "timings.json").read_text(encoding="utf-8"))["seeds"] for key in (TEACHER, STUDENT)
    ]
    for seed in "012":
        assert timings[1][seed].keys() - timings[0][seed].keys() == SPEEDUPS
        assert all(timings[1][seed][name] > 0 for name in SPEEDUPS)
        # The noise is the same, and so is the number.
        assert of_student[seed, "teacher_bits_per_dim"] == of_teacher[seed, "bits_per_dim"]
    assert {name: METRICS[name].host_dependent for name in STEADY | SPEEDUPS} == (
        dict.fromkeys(STEADY, False) | dict.fromkeys(SPEEDUPS, True)
    )


def test_the_students_folder_holds_what_dvc_is_told_of(measured):
    stages = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    entries = [
        entry if isinstance(entry, str) else next(iter(entry))
        for stage in ("train_student", "evaluate_student")
        for kind in ("outs", "metrics", "plots")
        for entry in stages[stage]["do"].get(kind, [])
    ]
    assert {path.name for path in (measured / STUDENT).iterdir()} == {Path(entry).name for entry in entries}
