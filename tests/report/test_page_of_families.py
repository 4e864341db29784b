from contextlib import contextmanager
from html import unescape

import pytest
from flowbench.pictures import canvas

from flowbench.report import figures
from flowbench.report.cells import load
from tests.report.pages import Page, read

CELLS = {
    "digits-maf": ("digits", "maf"),
    "digits-cnf": ("digits", "cnf"),
    "digits-flow_matching": ("digits", "flow_matching"),
    "digits-flow_autoencoder": ("digits", "flow_autoencoder"),
    "digits-iaf_distilled": ("digits", "iaf_distilled"),
}


def test_a_cell_without_a_likelihood_says_so_and_has_no_rank(report):
    folder = report(CELLS, flow={"digits-flow_matching": {"probes": 10}})
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    rows = {row[0]: row[1:3] for row in html.rows[1:6]}
    assert {name: word for name, (word, _) in rows.items()} == {
        "maf": "exact",
        "cnf": "exact",
        "flow_matching": "estimate",
        "flow_autoencoder": "none",
        "iaf_distilled": "exact",
    }
    assert [name for name, (_, bits) in rows.items() if bits == "–"] == ["flow_autoencoder"]
    _, _, summary = "".join(html.text).partition("In short.")
    assert "flow_autoencoder" not in summary.partition("\n")[0]


def test_losses_of_one_kind_share_a_figure_and_evaluations_have_their_own(report):
    names = {path.stem for path in (report(CELLS) / "figures").iterdir() if not path.stem.startswith("digits")}
    of_flows = {f"training-digits-{flow}" for flow in ("flow_matching", "flow_autoencoder", "iaf_distilled")}
    assert names == {"training-digits", *of_flows, "evaluations-digits", "cost-digits"}


@pytest.fixture
def axes(monkeypatch):
    """The left titles and ranges of the panels of what is drawn."""
    found = []

    @contextmanager
    def watched(*arguments):
        with canvas(*arguments) as figure:
            yield figure
            found.extend((panel.get_title(loc="left"), panel.get_ylim()) for panel in figure.axes)

    monkeypatch.setattr(figures, "canvas", watched)
    return found


def test_objectives_that_differ_have_a_panel_each(report, tmp_path, axes):
    cells = {f"moons-flow_matching-{name}": ("moons", "flow_matching") for name in ("ot", "independent")}
    report(cells)
    found = [load(tmp_path / "results" / key, "tiny") for key in cells]
    for cell, size in zip(found, (1.0, 100.0), strict=True):
        for seed in cell.history:
            cell.history[seed] = [(step, size, size * (1 + 1 / (step + 1))) for step in range(0, 300, 10)]
    axes.clear()
    styles = figures.looks(cell.label for cell in found)
    assert figures.training_curves(tmp_path / "curves.png", found, styles), "each falls from twice its end"
    (first, (low, high)), (second, (other_low, other_high)) = axes
    assert [first, second] == ["flow_matching-ot", "flow_matching-independent"]
    assert 0.9 < low < high < 2
    assert 90 < other_low < other_high < 200
    for cell in found:
        for seed, rows in cell.history.items():
            cell.history[seed] = [(step, 1.0, 1.0) for step, _, _ in rows]
    assert not figures.training_curves(tmp_path / "curves.png", found, styles)


def test_what_is_not_compared_is_hollow(report, tmp_path):
    cells = {"digits-maf": ("digits", "maf"), "digits-cnf": ("digits", "cnf")}
    report(cells)
    found = [load(tmp_path / "results" / key, "tiny") for key in cells]
    for cell in found:
        cell.values.pop("true_bits_per_dim", None)
    styles = figures.looks(cell.label for cell in found)
    for examples, hollow in ((50.0, True), (9999.0, False)):
        found[0].values["test_examples"] = dict.fromkeys(range(3), 9999.0)
        found[1].values["test_examples"] = dict.fromkeys(range(3), examples)
        assert figures.quality_against_cost(tmp_path / "cost.png", found, styles) is hollow


def test_samples_of_few_evaluations_are_one_entry_of_the_glossary(report):
    glossary = (report(CELLS) / "README.md").read_text(encoding="utf-8").partition("## What the numbers mean")[2]
    assert glossary.count("`energy_distance_") == 1
    assert "`energy_distance_METHOD_N`" in glossary


def test_failures_are_listed_with_their_reasons(report):
    reason = "params.yaml: flows.cnf.plane: needs more than <b>max_evaluations</b> = 9"
    failed = {"digits-cnf": {0: reason, 2: reason}, "digits-flow_matching": dict.fromkeys(range(3), reason)}
    folder = report(CELLS, failed=failed, not_measured={"digits-cnf": {1: "another"}})
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        unescape((folder / "README.md").read_text(encoding="utf-8")),
    )
    for text in ("".join(html.text), markdown):
        assert text.count("Not all was measured") == 1
        assert f"digits-cnf, seed 0, 2 failed: {reason}." in text
        assert f"digits-flow_matching, seed 0, 1, 2 failed: {reason}." in text
        assert "digits-cnf, seed 1 measured in part: another." in text
    assert html.row("cnf")[0] == "cnf 2 of 3 failed, measured in part"
    assert html.row("flow_matching")[0] == "flow_matching 3 of 3 failed"
    lost = {(row["cell"], row["seed"]) for row in read(folder / "results.csv") if row["metric"] == "failed_at"}
    assert lost == {(key, str(seed)) for key, reasons in failed.items() for seed in reasons}
    assert "Not all was measured" not in (report(CELLS) / "README.md").read_text(encoding="utf-8")


def test_diverged_seeds_are_listed_with_the_options_to_change(report):
    cells = {"moons-nice": ("moons", "nice"), "moons-maf": ("moons", "maf")}
    diverged = {"moons-nice": [0, 2], "moons-maf": [1]}
    folder = report(cells, diverged=diverged, budget={"moons-maf": {"clip_norm": 5.0}})
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        unescape((folder / "README.md").read_text(encoding="utf-8")),
    )
    why = "diverged: the loss was no longer finite at step 150; lower budgets.tiny.train.learning_rate, or"
    for text in ("".join(html.text), markdown):
        assert f"moons-nice, seed 0, 2 {why} set its clip_norm." in text
        assert f"moons-maf, seed 1 {why} lower its clip_norm." in text


def test_options_that_mean_nothing_beside_the_others_are_not_shown(report):
    options = {"architecture": "vector", "coupling": "independent", "hidden": [64, 64], "channels": 32, "probes": None}
    options |= {"coupled_at_once": 256, "attention": None}
    html = Page((report(CELLS, flow={"digits-flow_matching": options}) / "index.html").read_text(encoding="utf-8"))
    words = "architecture vector, coupling independent, hidden 2 × 64, no probes"
    assert ["flow_matching", "digits", words] in html.rows
