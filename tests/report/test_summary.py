import math
from pathlib import Path

import pytest
import yaml
from scipy.special import stdtrit

from flowbench.config import EvaluateBudget
from flowbench.evaluation import transport
from flowbench.report.cells import MOST_EXAMPLES, CellResult, comparable, score_differences
from flowbench.report.summary import summary


def cell(label, *values, metric="bits_per_dim", floor=None, diverged=0, baseline=False, likelihood="exact"):
    """A cell with a value for each seed that finished."""
    seeds = {str(i): {"status": "finished"} for i in range(len(values))}
    seeds |= {str(len(values) + i): {"status": "diverged", "diverged_at": 9} for i in range(diverged)}
    found = {metric: dict(enumerate(values))} if values else {}
    if floor is not None:
        found["entropy_floor_bits_per_dim"] = dict.fromkeys(range(len(values)), floor)
    training = {"kind": "baseline" if baseline else "flow", "likelihood": likelihood, "seeds": seeds}
    return CellResult(label, label, training, {}, {}, found, {}, {})


# Three seeds around x with an interval of about 0.025, or of 2.5.
def near(x):
    return x - 0.01, x, x + 0.01


def around(x):
    return x - 1, x, x + 1


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ([], ""),
        ([cell("nice", *near(1))], "nice reaches 1.000 ± 0.025 bits per dim."),
        (
            [cell("nice", *near(1), floor=0.9)],
            "nice reaches 1.000 ± 0.025 bits per dim, above the true density's by 0.100 ± 0.025.",
        ),
        ([cell("nice", diverged=3)], "No flow has finite bits per dim."),
        ([cell("nice", math.nan, 1), cell("glow", math.inf)], "No flow has finite bits per dim."),
        ([cell("flow_autoencoder", likelihood="none")], ""),
        (
            [cell("cnf", *near(1), likelihood="estimate", diverged=1)],
            "cnf (an estimate, 1 of 4 diverged) reaches 1.000 ± 0.025 bits per dim.",
        ),
        ([cell("nice", *near(2)), cell("glow", *near(1))], "glow is the best flow: 1.000 ± 0.025 bits per dim."),
        (
            [cell("nice", *near(1), diverged=1), cell("glow", *near(2))],
            "nice (1 of 4 diverged) is the best flow: 1.000 ± 0.025 bits per dim.",
        ),
        (
            [cell("nice", *near(1)), cell("maf", *near(1.01)), cell("glow", *near(1.02)), cell("iaf", *around(9))],
            "nice has the lowest mean of the flows, significantly so: 1.000 ± 0.025 bits per dim.",
        ),
        (
            [cell("nice", *near(1)), cell("planar", *around(2))],
            "nice has the lowest mean of the flows, not significantly different from planar: "
            "1.000 ± 0.025 bits per dim.",
        ),
        (
            [cell("nice", *near(1)), *(cell(f"planar{i}", *around(2 + i / 9)) for i in range(4)), cell("iaf", 7, 8, 9)],
            "nice has the lowest mean of the flows, not significantly different from 4 of the 5 others: "
            "1.000 ± 0.025 bits per dim.",
        ),
        (
            # Bold, as its interval overlaps no other; but each of ten pairs may differ by chance.
            [cell("nice", *near(1)), *(cell(f"maf{i}", 1.08 + i / 999, 1.06, 1.07) for i in range(4))],
            "nice has the lowest mean of the flows, not significantly different from any other: "
            "1.000 ± 0.025 bits per dim.",
        ),
        ([cell("nice", 2), cell("glow", 1)], "glow has the lowest value of the flows: 1.000 (n = 1) bits per dim."),
        (
            [cell("nice", 1), cell("glow", 1)],
            "nice and glow have the lowest value of the flows: 1.000 (n = 1) bits per dim.",
        ),
        (
            [cell("nice", *near(2), metric="kl_to_target"), cell("glow", *near(1), metric="kl_to_target")],
            "glow is the best flow: 1.000 ± 0.025 nats of KL to the target.",
        ),
    ],
)
def test_the_leading_flow(cells, text):
    assert summary(cells) == text


@pytest.mark.parametrize(
    ("flows", "baselines", "text"),
    [
        ([near(2)], [near(1)], "The baseline b0 beats every flow: 1.000 ± 0.025 bits per dim."),
        (
            [around(2), near(3)],
            [near(1), near(5)],
            "The baseline b0 has a lower mean than every flow, not significantly different from f0: "
            "1.000 ± 0.025 bits per dim.",
        ),
        (
            [*(around(2 + i / 9) for i in range(4)), (7, 8, 9)],
            [near(1)],
            "The baseline b0 has a lower mean than every flow, not significantly different from 4 of the 5: "
            "1.000 ± 0.025 bits per dim.",
        ),
        ([near(1)], [near(3), near(2)], "The nearest baseline is b1: 2.000 ± 0.025 bits per dim."),
        ([near(2)], [[1]], "The baseline b0 has a lower value than every flow: 1.000 (n = 1) bits per dim."),
        ([], [near(1), near(2)], "The baseline b0 reaches 1.000 ± 0.025 bits per dim."),
    ],
)
def test_the_best_baseline(flows, baselines, text):
    cells = [cell(f"f{i}", *values) for i, values in enumerate(flows)]
    cells += [cell(f"b{i}", *values, baseline=True) for i, values in enumerate(baselines)]
    assert text in summary(cells)


def test_a_flow_without_a_value_is_not_beaten():
    cells = [cell("nice", diverged=3), cell("gaussian", *near(1), baseline=True)]
    assert summary(cells) == (
        "No flow has finite bits per dim. The baseline gaussian reaches 1.000 ± 0.025 bits per dim."
    )


def test_the_truth_on_the_same_examples_is_what_flows_are_compared_by():
    cells = [cell("nice", *near(1)), cell("glow", *near(1.2))]
    for one, true in zip(cells, (0.5, 0.9), strict=True):
        one.values["true_bits_per_dim"] = dict.fromkeys(range(3), true)
    assert summary(cells).startswith("glow is the best flow: 1.200")


def test_flows_measured_on_other_examples_are_compared_with_the_noise_of_both_test_sets():
    cells = [cell("nice", *near(2)), cell("glow", *near(2.1))]
    for one in cells:
        one.values["true_bits_per_dim"] = dict.fromkeys(range(3), 0.5)
        one.values["bits_per_dim_standard_error"] = dict.fromkeys(range(3), 0.1)
    assert summary(cells).startswith("nice is the best flow: 2.000")
    cells[0].values["test_examples"] = dict.fromkeys(range(3), 5000)
    (apart,) = score_differences(cells, cells[0], "bits_per_dim")
    assert not apart.significant
    assert apart.estimate.half == pytest.approx(float(stdtrit(2, 0.975)) * math.hypot(0.1, 0.1), rel=1e-3)
    assert "nice has the lowest mean of the flows, not significantly different from glow" in summary(cells)


def test_a_flow_measured_on_fewer_examples_has_no_rank():
    cells = [cell("nice", *near(2)), cell("glow", *near(3)), cell("flow_matching", *near(1))]
    cells[2].values["test_examples"] = dict.fromkeys(range(3), 100)
    assert summary(cells).startswith("nice is the best flow: 2.000")
    assert summary(cells).endswith(" Not compared, as measured on fewer test examples: flow_matching.")
    assert comparable(cells, "bits_per_dim") == cells[:2]
    assert comparable(cells[2:], "bits_per_dim") == cells[2:]


@pytest.mark.parametrize("metric", ["sliced_wasserstein", "energy_distance", "wasserstein_2"])
def test_distances_of_fewer_samples_are_not_compared(metric):
    cells = [cell(name, *near(1), metric=metric) for name in ("nice", "flow_matching")]
    cells[1].values["test_examples"] = dict.fromkeys(range(3), 50)
    assert comparable(cells, metric) == cells[:1]
    # That the truth is known makes few samples no more.
    for one in cells:
        one.values["true_bits_per_dim"] = dict.fromkeys(range(3), 1.0)
    assert comparable(cells, metric) == cells[:1]
    # Of more examples than there are samples the rest does not count.
    cells[1].values["test_examples"] = dict.fromkeys(range(3), 5000)
    assert comparable(cells, metric) == cells


def test_distances_are_of_no_more_samples_than_is_assumed():
    assert MOST_EXAMPLES["sliced_wasserstein"] == MOST_EXAMPLES["energy_distance"] == EvaluateBudget().samples
    assert MOST_EXAMPLES["wasserstein_2"] == transport.POINTS
    budgets = yaml.safe_load(Path(__file__).parents[2].joinpath("params.yaml").read_text(encoding="utf-8"))[
        "budgets"
    ].values()
    assert all(budget["evaluate"].get("samples", 0) <= EvaluateBudget().samples for budget in budgets)
