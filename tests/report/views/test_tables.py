"""Tables and captions, from cells that are made up."""

import math
import re

import pytest

from flowbench import data
from flowbench.metrics import METRICS
from flowbench.report.views import correctness, tables
from flowbench.report.views.numbers import power
from flowbench.report.views.page import summary
from flowbench.report.views.text import data_sets
from tests.report.made_up import entries

MAF = {"layers": 5, "hidden": [1024, 1024], "logit": 1e-6}


def near(x):
    """Three seeds around x with an interval of about 0.025."""
    return [x - 0.01, x, x + 0.01]


def bits(**labels):
    return {f"moons-{label}": {"bits_per_dim": values} for label, values in labels.items()}


# --- What the numbers of one data set say


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        (
            bits(nice=near(2), realnvp=near(1), maf=near(3), gaussian=near(4)),
            "realnvp is the best flow: 1.000 ± 0.025 bits per dim, which is 0.793 ± 0.025 above the true density's. "
            "The best baseline is gaussian: 4.000 ± 0.025 bits per dim.",
        ),
        (
            bits(nice=near(2), realnvp=[1, 2, 3.3], maf=[1, 2.2, 4], gaussian=near(1)),
            "nice has the best mean of the flows: 2.000 ± 0.025 bits per dim, which is 1.793 ± 0.025 above the true "
            "density's. It cannot be told from realnvp and maf. The baseline gaussian has a lower mean than every flow "
            "that may be best: 1.000 ± 0.025 bits per dim.",
        ),
        (
            bits(nice=[math.nan] * 3, realnvp=[math.inf] * 3, maf=None, gaussian=near(1)),
            "No flow has finite bits per dim. Not called best (not finite): nice and realnvp.",
        ),
    ],
)
def test_the_summary_names_the_leaders(made, values, sentences):
    assert summary(made(values=values)) == sentences


def test_the_summary_says_what_must_be_known_of_the_leader_and_of_what_is_left_out(made):
    values = bits(nice=near(2), realnvp=[1.0, 1.01], maf=near(0.5), gaussian=near(4))
    values["moons-realnvp"]["invertibility_error_max"] = 1.0
    of = made(
        values=values,
        training={"moons-realnvp": {"likelihood": "bound"}},
        diverged={"moons-realnvp": [0]},
        examples={"moons-maf": 100},
        budget={"moons-nice": {"steps": 7}},
    )
    text = summary(of)
    assert text.startswith("nice reaches ")
    assert "Not called best (fails certification: float32): realnvp. Not called best (other examples): maf." in text
    assert text.endswith("The flows had different budgets.")


# --- The table of quality


def test_leaders_are_marked_in_their_columns(made):
    values = bits(nice=near(2), realnvp=near(1), maf=near(3), gaussian=near(4))
    for of_cell, distance in zip(values.values(), (near(1), near(1.005), near(2), near(2)), strict=True):
        of_cell["energy_distance"] = distance
    table = tables.quality(made(values=values))
    marks = {row.name: [value.mark for value in row.values] for row in table.rows}
    column = table.columns.index("bits per dim")
    assert [of[column] for of in marks.values()] == ["", "best", "", "", ""]
    column = table.columns.index("energy distance")
    assert [of[column] for of in marks.values()] == ["tie", "tie", "", "", ""]


def test_the_truth_stands_beside_the_flows(made):
    values = {"moons-nice": {"true_bits_per_dim": 0.21}, "moons-realnvp": {"true_bits_per_dim": 0.2}}
    of = made(values=values, examples={"moons-realnvp": 5000})
    table = tables.quality(of)
    rows = entries(table)
    assert rows["entropy floor"]["bits per dim"] == "0.2070"
    assert rows["truth, test split"]["bits per dim"] == "0.2100"
    assert rows["truth, 5,000 test examples"]["bits per dim"] == "0.2000"
    assert table.caption.endswith("Measured on 5,000 test examples and with at most 5,000 samples: realnvp.")
    above = of.estimates.value("moons-nice", "bits_per_dim") - 0.21
    assert float(rows["nice"]["above truth"].split(" ± ")[0]) == pytest.approx(above, abs=1e-4)


def test_likelihoods_have_a_column_only_where_they_differ(made, families):
    assert "likelihood" not in tables.quality(made()).columns
    rows = entries(tables.quality(families))
    words = {name: row["likelihood"] for name, row in rows.items()}
    assert words == dict.fromkeys(rows, "exact") | {
        "flow_matching": "estimate",
        "flow_autoencoder": "none",
        "flow_autoencoder-reconstruction": "none",
    }
    assert [name for name, row in rows.items() if row["bits per dim"] == "–"] == [
        "flow_autoencoder",
        "flow_autoencoder-reconstruction",
    ]


def test_one_seed_has_no_interval_and_on_images_the_standard_error_over_test_examples(made):
    caption = tables.quality(made(seeds=1)).caption
    assert caption == "One seed each (n = 1). Likelihoods are exact."
    assert not any("±" in text for row in entries(tables.quality(made(seeds=1))).values() for text in row.values())
    of = made({"digits-maf": ("digits", "maf")}, seeds=1)
    table = tables.quality(of)
    assert table.caption.startswith("One seed each (n = 1); ± is one standard error over the test examples. ")
    error = of.value(of.cells[0], "bits_per_dim_standard_error")
    assert entries(table)["maf"]["bits per dim"].endswith(f"± {error:.4f}")


def test_numbers_of_seeds_that_differ_are_told(made):
    of = made(training={"moons-nice": {"seeds": {}}})
    assert "seeds: 0 for nice; 3 for realnvp, maf, gaussian." in tables.quality(of).caption


def test_images_have_the_worst_round_trip_and_their_budgets(made):
    cells = {"mnist-maf": ("mnist", "maf"), "mnist-glow": ("mnist", "glow"), "mnist-gaussian": ("mnist", "gaussian")}
    of = made(cells, budget={"mnist-maf": {"steps": 1000, "batch_size": 100}})
    rows = entries(tables.quality(of))
    names = ("invertibility_error_max", "invertibility_error_max_noise", "latent_invertibility_error_max")
    assert rows["maf"]["round trip"] == power(max(of.value(of.cells[0], name) for name in names))
    assert rows["gaussian"]["round trip"] == "–"
    assert (rows["maf"]["steps × batch"], rows["maf"]["epochs"]) == ("1,000 × 100", "2.0")
    assert (rows["gaussian"]["steps × batch"], rows["gaussian"]["epochs"]) == ("", "")


@pytest.mark.parametrize(("anneal_steps", "told"), [(1000, "where β grows to 0.31"), (250, "")])
def test_an_annealing_that_did_not_end_is_told(made, anneal_steps, told):
    key = "two_modes-planar"
    caption = tables.quality(made({key: ("two_modes", "planar")}, budget={key: {"anneal_steps": anneal_steps}})).caption
    assert told in caption
    assert ("grows to" in caption) == bool(told)


@pytest.mark.parametrize("alpha", [None, 0.05])
def test_pixels_that_pass_different_logits_are_pointed_out(made, alpha):
    cells = {"digits-nice": ("digits", "nice"), "digits-maf": ("digits", "maf")}
    caption = tables.quality(made(cells, flow={"digits-nice": {"logit": None}, "digits-maf": {"logit": alpha}})).caption
    words = "Pixels do not pass the same transform first: no logit for nice; a logit with α = 0.05 for maf."
    assert (words in caption) == (alpha is not None)


def test_published_values_stand_beside_ours_with_both_budgets_or_as_context(made):
    cells = {"mnist-maf": ("mnist", "maf"), "mnist-glow": ("mnist", "glow")}
    flow = {"mnist-maf": MAF, "mnist-glow": {"scales": 2, "steps": 4, "hidden": [32]}}
    of = made(cells, seeds=1, flow=flow, budget={"mnist-maf": {"steps": 1000, "batch_size": 100}})
    quality = entries(tables.quality(of))
    assert (quality["maf"]["published"], quality["glow"]["published"]) == ("1.89", "")
    beside, context = tables.published_values(of)
    row = entries(beside)["maf"]
    assert (row["ours"], row["published"]) == (of.written(of.cells[0], "bits_per_dim"), "1.89")
    assert re.fullmatch(r"1,000 steps of 100 examples \(2.0 epochs\); [\d.]+ s on cpu", row["our budget"])
    assert "30 epochs without gain" in row["their budget"]
    assert row["published as"].startswith("MAF (5), MAF (Papamakarios) 2017, arXiv 1705.07057")
    rows = entries(context)
    assert rows["MAF (10)"]["what differs"] == "layers 10, here 5"
    assert rows["Glow"]["what differs"] == "sizes and preprocessing not stated"
    assert context.caption == "Bits per dim as published in other settings: context, and no comparison."


def test_values_are_shown_with_their_uncertainty_where_papers_have_one(made):
    cells = {"normal_to_moons-flow_matching": ("normal_to_moons", "flow_matching")}
    table = next(table for table in tables.published_values(made(cells)) if "2-Wasserstein" in table.caption)
    assert entries(table)["OT-CFM"]["2-Wasserstein"] == "0.427 ± 0.038"


def test_the_true_moments_stand_below_the_learnt(made):
    (table,) = tables.moments(made({"gaussian-affine": ("gaussian", "affine")}))
    rows = entries(table)
    assert [rows["truth"][f"{moment} of x{i}"] for i in (1, 2) for moment in ("mean", "std")] == [
        *("2.00", "0.500", "−1.00", "1.50")
    ]
    assert rows["truth"]["error of the mean, in true std"] == ""
    assert rows["affine"]["mean of x1"].startswith(("1.9", "2.0"))


# --- Differences and noise


def test_differences_are_named_with_those_that_may_be_chance(made):
    (table,) = tables.differences(made(values=bits(nice=near(1), realnvp=near(2), maf=[1, 2, 9], gaussian=near(3))))
    assert table.caption.startswith("How far behind nice the others are, in bits per dim.")
    rows = entries(table)
    assert {name: row["at 5 %"] for name, row in rows.items()} == {
        "realnvp": "told apart",
        "maf": "not told apart",
        "gaussian": "told apart",
    }
    assert all(" to " in row["gap"] and (row["p"] == "< 0.001" or float(row["p"]) > 0) for row in rows.values())


def test_one_seed_has_differences_and_no_verdict_and_a_flow_alone_has_none(made):
    (table,) = tables.differences(made(seeds=1))
    assert table.caption.endswith("One seed cannot say which of this is chance.")
    assert table.columns == ["gap"]
    assert tables.differences(made({"moons-nice": ("moons", "nice")})) == []


def test_the_noise_of_evaluation_stands_beside_that_of_training(made):
    key = "digits-maf"
    values = {"bits_per_dim": [1.0, 2.0, 3.0], "bits_per_dim_standard_error": 0.05, "bits_per_dim_noise_std": 0.02}
    (table,) = tables.noise(made({key: ("digits", "maf")}, values={key: values}))
    # A mean over ten draws.
    wanted = {"between seeds": "1.0", "dequantisation": "0.0063", "test split": "0.050"}
    assert entries(table)["maf"] == wanted
    # A mean over 4 probes of each of 100 examples is twenty times as certain as one of one.
    values |= {"noise_draws": 1, "bits_per_dim_probe_std": 0.4, "probes": 4}
    (table,) = tables.noise(made({key: ("digits", "maf")}, values={key: values}, examples={key: 100}))
    assert entries(table)["maf"]["probes"] == "0.020"
    values["noise_draws"] = 4
    (table,) = tables.noise(made({key: ("digits", "maf")}, values={key: values}, examples={key: 100}))
    assert (entries(table)["maf"]["dequantisation"], entries(table)["maf"]["probes"]) == ("0.010", "0.010")


def test_one_draw_does_not_know_its_own_noise(made):
    cells = {"digits-maf": ("digits", "maf"), "digits-nice": ("digits", "nice")}
    one = {"noise_draws": 1, "bits_per_dim_noise_std": None}
    (table,) = tables.noise(made(cells, values={"digits-nice": one}))
    assert [row["dequantisation"] for row in entries(table).values()] == ["0.000063", "–"]
    assert tables.noise(made({"digits-nice": ("digits", "nice")}, values={"digits-nice": one})) == []


def test_every_column_is_explained_and_metrics_of_a_group_are_one_entry(families):
    shown = [*tables.of_data(families), *correctness.correctness(families), tables.costs(families, {})]
    entries_of = tables.glossary(families, shown)
    heads = {head for head, *_ in entries_of}
    assert {head for table in shown for head in table.titles} <= heads
    names = [name for _, name, *_ in entries_of]
    assert names.count("energy_distance_METHOD_N") == 1
    assert not [name for name in names if name.startswith("energy_distance_euler")]
    about = METRICS["invertibility_error_max_noise"].about
    assert ("noise, max", "invertibility_error_max_noise", "data units", about) in entries_of
    assert "noise, max (float64)" in heads


def test_every_data_source_is_described():
    assert data_sets().keys() == set(data.names())
    assert all(text.endswith(".") for text in data_sets().values())
