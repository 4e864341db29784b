"""The answers at the top of a page, in words."""

from flowbench.report.views import series
from flowbench.report.views.tables import of_metric
from flowbench.report.views.top import heat, leading, learning, three_answers
from tests.fake_results import suite

TWO = {f"{data}-{flow}": (data, flow) for data in ("moons", "digits") for flow in ("nice", "maf")}


def test_an_answer_is_a_flow_or_says_why_there_is_none(made):
    clear = {"moons-nice": {"bits_per_dim": [1.0, 1.001, 1.002]}, "moons-maf": {"bits_per_dim": [2.0, 2.001, 2.002]}}
    refused = {key: {"invertibility_error_max": 1.0} for key in TWO if key.startswith("digits")}
    moons, digits = three_answers(made(TWO, values=clear | refused))
    (density, *_), shown = moons["answers"], digits["answers"]
    assert (density["label"], density["key"], density["how_sure"]) == ("nice", "moons-nice", "clear")
    assert (density["score"], density["undecided"]) == ("1.00 bits", "")
    assert [(one["label"], one["score"], one["undecided"]) for one in shown] == [(None, "", "no certified flow")] * 3
    assert [one["how_sure"] for one in moons["answers"][1:]] == ["only good flow"] * 2


def test_a_baseline_that_is_better_is_named_beside_the_best_flow(made):
    values = {"moons-maf": {"bits_per_dim": [2.0, 2.001, 2.002]}, "moons-gaussian": {"bits_per_dim": 1.0}}
    cells = {key: ("moons", key.removeprefix("moons-")) for key in values}
    ((density, *costs),) = [row["answers"] for row in three_answers(made(cells, values=values))]
    assert (density["label"], density["outdone"]) == ("maf", "the baseline gaussian has a better mean")
    assert [one["outdone"] for one in costs] == ["", ""]
    values["moons-gaussian"]["bits_per_dim"] = 3.0
    ((density, *_),) = [row["answers"] for row in three_answers(made(cells, values=values))]
    assert density["outdone"] == ""


def test_only_a_trained_flow_can_have_been_trained_too_short(made, monkeypatch):
    monkeypatch.setattr(series, "settled", lambda cell: None)  # as a curve of few points is
    assert learning(made(TWO))["budgets"].startswith("Training was too short to tell what the flows can reach")
    assert learning(made({"moons-gaussian": ("moons", "gaussian")}))["budgets"] == ""
    assert learning(made({}))["budgets"] == ""


def test_data_sets_that_are_too_few_have_no_answer_over_all_of_them(made):
    assert [row["data"] for row in three_answers(made(TWO))] == ["moons", "digits"]


def test_a_flow_that_has_a_metric_nowhere_has_no_row_in_its_map(made):
    cells = {"digits-maf": ("digits", "maf"), "digits-flow_autoencoder": ("digits", "flow_autoencoder")}
    maps = {one["id"]: [row["label"] for row in one["rows"]] for one in heat(suite(cells), made(cells))}
    assert maps["gap"] == ["maf"]
    assert maps["energy_distance"] == ["maf", "flow_autoencoder"]


def test_data_sets_with_few_flows_come_last(made):
    cells = {"gaussian-affine": ("gaussian", "affine")}
    cells |= {f"moons-{flow}": ("moons", flow) for flow in ("nice", "realnvp", "maf")}
    assert [(row["data"], row["few"]) for row in three_answers(made(cells))] == [("moons", False), ("gaussian", True)]


def test_costs_rank_the_flows_whose_density_is_good(made):
    """Everywhere: in the answers, on the map and in the tables."""
    rate = "sample_samples_per_second"
    values = {
        "moons-nice": {"bits_per_dim": [2.0, 2.001, 2.002], rate: [9e6, 9.1e6, 9.2e6]},
        "moons-maf": {"bits_per_dim": [1.0, 1.001, 1.002], rate: [1e3, 1.1e3, 1.2e3]},
        "moons-realnvp": {"bits_per_dim": [1.0, 1.001, 1.003], rate: [1e5, 1.1e5, 1.2e5]},
    }
    cells = {key: ("moons", key.removeprefix("moons-")) for key in values}
    scope = made(cells, values=values)
    ((answers,),) = [[row["answers"] for row in three_answers(scope)]]
    assert answers[1]["label"] == "realnvp"
    speeds = next(one for one in heat(suite(cells), scope) if one["id"] == rate)
    shown = {row["label"]: row["fields"][0] for row in speeds["rows"]}
    assert {label: field["class"] for label, field in shown.items()}["nice"] == "plain"
    assert shown["nice"]["about"] == "nice on moons: 9.10 M/s, its density is not good"
    assert shown["realnvp"]["class"] == "g0"
    assert [entry.mark for entry in of_metric(scope, rate)] == ["", "", "best"]


def test_one_seed_ties_nothing(made):
    cells = {f"moons-{flow}": ("moons", flow) for flow in ("nice", "realnvp", "maf")}
    values = {key: {"bits_per_dim": 1.0 + i} for i, key in enumerate(cells)}
    one = made(cells, seeds=1, values=values)
    classes = {row["label"]: row["fields"][0]["class"] for row in heat(suite(cells), one)[0]["rows"]}
    assert classes["nice"] == "g0"
    assert "g0" not in (classes["realnvp"], classes["maf"])
    assert leading(one) == "best mean; one seed is too few to tell it from others"
    assert "2 seeds are too few" in leading(made(cells, seeds=2, values=values))
    assert leading(made(cells, values=values)) == "best, or tied with it"
