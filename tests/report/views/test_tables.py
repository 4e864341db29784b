"""Tables and captions, from cells that are made up."""

import math
import re
from pathlib import Path

import pytest

from flowbench import config, data, flows
from flowbench.metrics import METRICS
from flowbench.report.views import correctness, papers, tables
from flowbench.report.views.text import words
from tests.report.made_up import entries

MAF = {"layers": 5, "hidden": [1024, 1024], "logit": 1e-6}


def near(x):
    """Three seeds around x with an interval of about 0.025."""
    return [x - 0.01, x, x + 0.01]


def bits(**labels):
    return {f"moons-{label}": {"bits_per_dim": values} for label, values in labels.items()}


# --- The table of quality


def marks(table, head):
    return {key: entry.mark for key, entry in table.frame[head].items()}


def test_what_leads_is_marked_in_its_column_and_nowhere_else(made):
    values = bits(nice=near(2), realnvp=near(1), maf=near(3), gaussian=near(0.5))
    for of_cell, distance in zip(values.values(), (near(1), near(1.005), near(9), near(9)), strict=True):
        of_cell["energy_distance"] = distance
    table = tables.quality(made(values=values))
    found = marks(table, "bits per dim")
    assert [key for key, mark in found.items() if mark] == ["moons-realnvp"], "the baseline is better, and not crowned"
    assert found["moons-realnvp"] == "best"
    found = marks(table, "energy distance")
    assert {key for key, mark in found.items() if mark == "tie"} == {"moons-nice", "moons-realnvp"}
    assert all(entry.sort is not None for entry in table.frame["parameters"][:4])


def test_what_is_behind_has_its_interval_as_a_number_and_as_a_bar(made):
    of = made(values=bits(nice=near(2), realnvp=near(1), maf=near(400), gaussian=near(3)))
    column = tables.quality(of).frame["behind the best"]
    gap = of.verdict().gaps["moons-nice"]
    assert column["moons-realnvp"].text == "best"
    assert column["moons-nice"].text.startswith("+1.0 (")
    low, value, high = column["moons-nice"].bar
    assert 0 < low < value < high <= 1
    assert (high - low) / value == pytest.approx((gap.high - gap.low) / gap.value)
    assert column["moons-maf"].bar[1] > 1, "it leaves the axis, or the others would be one dot"


def test_a_cell_that_cannot_be_best_says_why(made):
    values = {"moons-nice": {"invertibility_error_max": 1.0}, "moons-maf": {"bits_per_dim": [math.inf] * 3}}
    of = made(values=values, diverged={"moons-realnvp": [0, 1, 2]})
    table = tables.quality(of)
    assert table.frame["certified"]["moons-nice"] == ("fails: float32", 1, "fail", None)
    assert table.frame["certified"]["moons-maf"].text == "yes"
    assert table.frame["behind the best"]["moons-maf"].text == "not finite"
    assert of.note(of.by_key["moons-realnvp"]) == "3 of 3 diverged"


def test_the_truth_stands_beside_the_flows(made):
    values = {"moons-nice": {"true_bits_per_dim": 0.21}, "moons-realnvp": {"true_bits_per_dim": 0.2}}
    of = made(values=values, examples={"moons-realnvp": 5000})
    table = tables.quality(of)
    rows = entries(table)
    assert rows["entropy floor"]["bits per dim"] == "0.2070"
    assert rows["truth, test split"]["bits per dim"] == "0.2100"
    assert rows["truth, 5,000 test examples"]["bits per dim"] == "0.2000"
    assert "Measured on 5,000 test examples: realnvp." in tables.remarks(of)
    assert table.reference == ["entropy floor", "truth, test split", "truth, 5,000 test examples"]
    above = of.estimates.value("moons-nice", "bits_per_dim") - 0.21
    assert float(rows["moons-nice"]["above truth"].split()[0]) == pytest.approx(above, abs=1e-4)


def test_likelihoods_have_a_column_only_where_they_differ(made, families):
    assert "likelihood" not in tables.quality(made()).frame
    rows = entries(tables.quality(families))
    found = {key.removeprefix("digits-"): row["likelihood"] for key, row in rows.items()}
    assert found == dict.fromkeys(found, "exact") | {
        "flow_matching": "estimate",
        "flow_autoencoder": "none",
        "flow_autoencoder-reconstruction": "none",
    }
    without = [key for key, row in rows.items() if row["bits per dim"] == "–"]
    assert without == ["digits-flow_autoencoder", "digits-flow_autoencoder-reconstruction"]


def test_one_seed_has_no_interval_and_on_images_the_standard_error_over_test_examples(made):
    table = tables.quality(made(seeds=1))
    assert table.caption.startswith("One seed each: no intervals. Behind the best: the verdict's interval. Bold: best.")
    assert not any("±" in text for row in entries(table).values() for text in row.values())
    of = made({"digits-maf": ("digits", "maf")}, seeds=1)
    error = of.value(of.cells[0], "bits_per_dim_standard_error")
    assert entries(tables.quality(of))["digits-maf"]["test split"] == f"{error:.2g}"


def test_two_seeds_show_both_values(made):
    table = tables.quality(made(seeds=2, values=bits(nice=[1.0, 2.0])))
    assert entries(table)["moons-nice"]["bits per dim"] == "1.000, 2.000"
    assert "two seeds have none" in table.caption


def test_numbers_of_seeds_that_differ_are_told(made):
    of = made(training={"moons-nice": {"seeds": {}}})
    assert "seeds: 0 for nice; 3 for realnvp, maf and gaussian." in tables.quality(of).caption


def test_budgets_have_columns_where_they_differ(made):
    cells = {"mnist-maf": ("mnist", "maf"), "mnist-glow": ("mnist", "glow"), "mnist-gaussian": ("mnist", "gaussian")}
    of = made(cells, budget={"mnist-maf": {"steps": 1000, "batch_size": 100}})
    rows = entries(tables.quality(of))
    assert (rows["mnist-maf"]["steps × batch"], rows["mnist-maf"]["epochs"]) == ("1,000 × 100", "2.0")
    assert (rows["mnist-gaussian"]["steps × batch"], rows["mnist-gaussian"]["epochs"]) == ("", "")
    assert "The flows had different budgets." in tables.remarks(of)
    assert "epochs" not in tables.quality(made()).frame


@pytest.mark.parametrize(("anneal_steps", "told"), [(1000, "where β grows to 0.31"), (250, "")])
def test_an_annealing_that_did_not_end_is_told(made, anneal_steps, told):
    key = "two_modes-planar"
    caption = " ".join(
        tables.remarks(made({key: ("two_modes", "planar")}, budget={key: {"anneal_steps": anneal_steps}}))
    )
    assert told in caption
    assert ("grows to" in caption) == bool(told)


@pytest.mark.parametrize("alpha", [None, 0.05])
def test_pixels_that_pass_different_logits_are_pointed_out(made, alpha):
    cells = {"digits-nice": ("digits", "nice"), "digits-maf": ("digits", "maf")}
    caption = " ".join(
        tables.remarks(made(cells, flow={"digits-nice": {"logit": None}, "digits-maf": {"logit": alpha}}))
    )
    words = "Pixels do not pass the same transform first: no logit for nice; a logit with α = 0.05 for maf."
    assert (words in caption) == (alpha is not None)


def test_published_values_stand_beside_ours_with_both_budgets_or_as_context(made):
    cells = {"mnist-maf": ("mnist", "maf"), "mnist-glow": ("mnist", "glow")}
    flow = {"mnist-maf": MAF, "mnist-glow": {"scales": 2, "steps": 4, "hidden": [32]}}
    of = made(cells, seeds=1, flow=flow, budget={"mnist-maf": {"steps": 1000, "batch_size": 100}})
    quality = entries(tables.quality(of))
    assert (quality["mnist-maf"]["published"], quality["mnist-glow"]["published"]) == ("1.89", "")
    beside, context = papers.tables(of)
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
    table = next(table for table in papers.tables(made(cells)) if "2-Wasserstein" in table.caption)
    assert entries(table)["OT-CFM"]["2-Wasserstein"] == "0.427 ± 0.038"


def test_the_true_moments_stand_below_the_learnt(made):
    table = tables.moments(made({"gaussian-affine": ("gaussian", "affine")}))
    rows = entries(table)
    assert [rows["truth"][f"{moment} of x{i}"] for i in (1, 2) for moment in ("mean", "std")] == [
        *("2.00", "0.500", "−1.00", "1.50")
    ]
    assert rows["truth"]["error of the mean, in true std"] == ""
    assert rows["gaussian-affine"]["mean of x1"].startswith(("1.9", "2.0"))


# --- Behind the best, and noise


def test_the_noise_of_evaluation_stands_beside_that_of_training(made):
    key = "digits-maf"
    values = {"bits_per_dim": [1.0, 2.0, 3.0], "bits_per_dim_standard_error": 0.05, "bits_per_dim_noise_std": 0.02}
    table = tables.noise(made({key: ("digits", "maf")}, values={key: values}))
    # A mean over ten draws.
    wanted = {"between seeds": "1.0", "dequantisation": "0.0063", "test split": "0.050"}
    assert entries(table)["digits-maf"] == wanted
    # A mean over 4 probes of each of 100 examples is twenty times as certain as one of one.
    values |= {"noise_draws": 1, "bits_per_dim_probe_std": 0.4, "probes": 4}
    table = tables.noise(made({key: ("digits", "maf")}, values={key: values}, examples={key: 100}))
    assert entries(table)["digits-maf"]["probes"] == "0.020"
    values["noise_draws"] = 4
    table = tables.noise(made({key: ("digits", "maf")}, values={key: values}, examples={key: 100}))
    assert (entries(table)["digits-maf"]["dequantisation"], entries(table)["digits-maf"]["probes"]) == (
        "0.010",
        "0.010",
    )


def test_one_draw_does_not_know_its_own_noise(made):
    cells = {"digits-maf": ("digits", "maf"), "digits-nice": ("digits", "nice")}
    one = {"noise_draws": 1, "bits_per_dim_noise_std": None}
    table = tables.noise(made(cells, values={"digits-nice": one}))
    assert [row["dequantisation"] for row in entries(table).values()] == ["0.000063", "–"]
    assert tables.noise(made({"digits-nice": ("digits", "nice")}, values={"digits-nice": one})).empty


def test_every_column_is_explained_and_metrics_of_a_group_are_one_entry(families):
    shown = [
        tables.quality(families),
        *tables.folded(families),
        *papers.tables(families),
        *correctness.correctness(families),
    ]
    shown.append(tables.costs(families, {}))
    entries_of = tables.glossary(families, shown)
    heads = {head for head, *_ in entries_of}
    plain = {"what is compared", "limit", "limit with a solver"}
    plain |= {"ours", "our budget", "their budget", "setting", "published as", "what differs", "budget", "published in"}
    assert {head for table in shown for head in table.frame} - plain <= heads
    names = [name for _, name, *_ in entries_of]
    assert names.count("energy_distance_METHOD_N") == 1
    assert not [name for name in names if name.startswith("energy_distance_euler")]
    about = METRICS["invertibility_error_max_noise"].about
    assert ("noise, max", "invertibility_error_max_noise", "data units", about) in entries_of
    assert "noise, max (float64)" in heads


def test_captions_have_at_most_25_words(families):
    shown = [
        tables.quality(families),
        *tables.folded(families),
        *papers.tables(families),
        *correctness.correctness(families),
    ]
    assert [table.caption for table in shown if len(table.caption.split()) > 25] == []


def test_every_data_source_is_described():
    described = words("words")["data_sets"]
    sets = config.load(Path(__file__).parents[3] / "params.yaml").data
    assert described.keys() | {"table"} == {*data.names(), *sets}  # which is a table of one's own
    assert all(text.endswith(".") for text in described.values())


def test_cards_are_of_flows_and_say_the_same_things():
    cards = words("flows")
    assert cards.keys() <= set(flows.names())
    for card in cards.values():
        assert {"name", "idea", "equation", "papers", "density", "sampling"} <= card.keys()
        assert card["idea"].count(". ") == 1, "two sentences"
