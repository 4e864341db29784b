"""How flows differ, side by side."""

from flowbench.report.views.cards import cards, differ

CELLS = {f"moons-{flow}": ("moons", flow) for flow in ("maf", "nice", "gaussian", "flow_matching", "glow")}


def test_flows_of_a_kind_stand_together_with_what_they_are_and_what_was_measured(made):
    table = differ(made(CELLS | {"digits-maf": ("digits", "maf")}))
    assert list(table.frame.index) == ["moons-nice", "moons-glow", "moons-maf", "moons-flow_matching"]
    assert "On moons." in table.caption
    kinds = [entry.text for entry in table.frame["kind"]]
    assert kinds == ["coupling", "coupling", "autoregressive", "differential equation"]
    assert [entry.text for entry in table.frame["behind, bits"]].count("best") == 1
    assert all(entry.sort for entry in table.frame["sampling, 1/s"])
    near = {key: entry.text for key, entry in table.frame["near after, s"].items()}
    assert near["moons-flow_matching"] == "another loss"
    assert {"plateau", "still learning", "too few losses to say"} >= {entry.text for entry in table.frame["at the end"]}


def test_one_flow_differs_from_none(made):
    assert differ(made({"moons-maf": ("moons", "maf"), "moons-gaussian": ("moons", "gaussian")})) is None


def test_a_card_names_its_cells_and_a_flow_that_is_alone_is_best(made):
    cells = {key: CELLS[key] for key in ("moons-maf", "moons-nice")}
    scope = made(cells, values={"moons-nice": {"invertibility_error_max": [1.0] * 3}})
    card = next(one for one in cards(scope, {key: [] for key in cells}) if one["flow"] == "maf")
    assert card["keys"] == ["moons-maf"]
    assert card["standing"] == {"best": {"moons": "moons-maf"}, "tied": {}, "last": {}}
