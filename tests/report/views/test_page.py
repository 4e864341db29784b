"""The pages of two reports: one of cells that had every misfortune, and one of cells that had none."""

import hashlib
import re
import shutil
import subprocess
import sys
from html import unescape
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from flowbench import report
from flowbench.records.training import Provenance, TrainTimings
from flowbench.report.views import page, text
from tests import fake_results
from tests.report.made_up import Page, read

CALM = {
    "moons-nice": ("moons", "nice"),
    "moons-gaussian": ("moons", "gaussian"),
    "two_modes-planar": ("two_modes", "planar"),
}
HOSTILE = "moons-realnvp<img src=x>|*&"
CELLS = {
    "gaussian-affine": ("gaussian", "affine"),
    "moons-nice": ("moons", "nice"),
    HOSTILE: ("moons", "realnvp"),
    "moons-maf": ("moons", "maf"),
    "moons-iaf_distilled": ("moons", "iaf_distilled"),
    "moons-gaussian": ("moons", "gaussian"),
    "moons-cnf": ("moons", "cnf"),
    "mnist-maf": ("mnist", "maf"),
    "mnist-glow": ("mnist", "glow"),
    "mnist-gaussian": ("mnist", "gaussian"),
    "mnist-flow_matching": ("mnist", "flow_matching"),
}
MATCHING = {"architecture": "vector", "coupling": "independent", "hidden": [64, 64], "channels": 32, "probes": None}
REASON = "flows.cnf.plane: needs more than <script>0</script> evaluations"


def host(name):
    return fake_results.HOST.model_copy(update={"host": fake_results.HOST.host | {"cpu": name}})


def written(folder, suite, lock="", survived=None, digests=None, **options):
    fake_results.write(folder / "results", suite, **options)
    return shown(folder, suite, lock, survived, digests)


def shown(folder, suite, lock="", survived=None, digests=None):
    target = folder / "report"
    report.write(folder / "results", suite, target, digests=digests or {}, lock=lock, survived=survived or {})
    html = (target / "index.html").read_text(encoding="utf-8")
    markdown = (target / "README.md").read_text(encoding="utf-8")
    parsed = Page(html)
    both = (parsed.text.replace("\xa0", " "), unescape(markdown))
    return SimpleNamespace(
        folder=target, raw=html, html=parsed, markdown=markdown, both=both, results=folder / "results"
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """One seed of each of three cells."""
    return written(tmp_path_factory.mktemp("calm"), fake_results.suite(CALM), seeds=1)


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """Lost seeds, differing hosts, versions and data, and text that is markup, in several families."""
    suite = fake_results.suite(CELLS | {"moons-glow": ("moons", "glow")}, about="<script>1</script> & *so* on")
    folder = tmp_path_factory.mktemp("rich")
    splits = {"train": 64 * "a", "test": 64 * "d"}
    params = {"cell": suite.cells["moons-nice"].model_dump(), "data": {"test": 20_000}}
    params |= {"flow": {"prior": "<script>2</script>"}, "budget": {"steps": 300, "batch_size": 512}}
    odd = Provenance(data=splits, params=params, code={}, versions={"python": "3.12.1", "torch": "<script>3</script>"})
    seconds = {seed: {"train_seconds": 30.0} for seed in range(3)}
    timings = TrainTimings(host=host("<script>4</script>"), git_commit="<script>5</script>", started=0, seeds=seconds)
    fake_results.write(
        folder / "results",
        suite,
        training={"moons-nice": {"provenance": odd, "timings": timings}},
        diverged={"moons-nice": [1], "moons-maf": [0], HOSTILE: [0, 1, 2]},
        failed={"moons-cnf": {0: REASON, 2: REASON}},
        not_measured={"moons-cnf": {1: "<script>6</script>"}},
        budget={"moons-maf": {"clip_norm": 5.0}, "moons-iaf_distilled": {"anneal_steps": 100}},
        measured_on={"mnist-maf": host("B processor")},
        values={"mnist-glow": {"invertibility_error_max": [1e-5, 0.0011, 1e-5]}},
        flow={"mnist-flow_matching": MATCHING},
    )
    (folder / "results" / "mnist-glow" / "pictures" / "latent_space.png").write_bytes(fake_results.PIXEL)
    shutil.rmtree(folder / "results" / "moons-glow")
    return shown(folder, suite, 64 * "c", {"inputs": 12345, "kills": 60}, {"moons-maf": 64 * "b"})


def test_the_html_page_stands_alone_and_the_markdown_page_links_to_its_figures(rich):
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in rich.html.addresses)
    assert not rich.html.tags & {"script", "link", "iframe"}
    links = re.findall(r"!\[[^\]]*\]\((.*?)\)", rich.markdown)
    assert len(links) == len(set(links))
    assert {unquote(link) for link in links} == {f"figures/{path.name}" for path in (rich.folder / "figures").iterdir()}


def test_losses_of_one_kind_share_a_figure_and_evaluations_have_their_own(rich):
    names = {path.stem for path in (rich.folder / "figures").glob("*-m*.png")}
    drawn = {name for name in names if name.startswith(("training-", "evaluations-", "cost-"))}
    assert drawn == {
        *("training-moons", "training-moons-iaf_distilled", "evaluations-moons", "cost-moons"),
        *("training-mnist", "training-mnist-flow_matching", "evaluations-mnist", "cost-mnist"),
    }
    assert "moons: training, one line per seed; × where a seed was lost" in rich.both[1]
    assert "mnist: training, one line per seed\n" in rich.both[0].replace(
        "; losses far above the others are cut off", ""
    )


def test_names_and_what_files_say_are_text_and_never_markup(rich):
    assert not re.search(r"<(?!/?details>|/?summary>)", rich.markdown)
    for shown in rich.both:
        assert set(re.findall(r"<script>\d</script>", shown)) == {f"<script>{i}</script>" for i in range(7)}
        assert "<script>1</script> & *so* on." in shown
    assert "&#42;so&#42;" in rich.markdown
    rows = [line for line in rich.markdown.splitlines() if line.startswith(("| realnvp", "| flow |"))]
    assert rows[0].count("|") == rows[1].count("|")
    assert rich.html.row("realnvp<img")[0] == "realnvp<img src=x>|*& 3 of 3 diverged"


def test_both_pages_show_the_same_numbers(rich):
    numbers = [cell for row in rich.html.rows for cell in row if re.search("±|[0-9]–[0-9]", cell)]
    assert len(numbers) > 25
    assert all(number in rich.both[1] for number in numbers)


def test_cells_that_have_not_been_run_are_named(rich, calm):
    assert "**Not run yet:** moons-glow.\n" in rich.markdown
    assert "<b>Not run yet.</b> moons-glow.</p>" in rich.raw
    assert "moons-glow" not in (rich.folder / "results.csv").read_text(encoding="utf-8")
    assert "Not run yet" not in calm.markdown + calm.raw


def test_a_suite_of_which_nothing_has_been_run_has_a_page(tmp_path):
    (tmp_path / "results").mkdir()
    empty = shown(tmp_path, fake_results.suite(CALM))
    assert "**Not run yet:** moons-nice, moons-gaussian, two_modes-planar.\n" in empty.markdown
    assert read(empty.folder / "results.csv") == []


def test_lost_seeds_are_listed_with_the_options_to_change_and_marked_in_their_rows(rich, calm):
    why = "the loss was no longer finite at step 150; lower budgets.tiny.train.learning_rate, or"
    for shown in rich.both:
        assert shown.count("Not all was measured") == 1
        assert f"moons-nice, seed 1 diverged: {why} set budgets.tiny.train.clip_norm." in shown
        assert f"moons-maf, seed 0 diverged: {why} lower budgets.tiny.train.clip_norm." in shown
        assert f"seeds 0, 1, 2 diverged: {why}" in shown
        assert f"moons-cnf, seeds 0, 2 failed: {REASON}." in shown
        assert "moons-cnf, seed 1 measured in part: <script>6</script>." in shown
    assert rich.html.row("nice")[0] == "nice 1 of 3 diverged"
    assert rich.html.row("gaussian baseline")
    assert rich.html.row("realnvp")[1] == "–"
    assert rich.html.row("cnf")[0] == "cnf 2 of 3 failed, measured in part"
    assert "nice (1 of 3 diverged)" in rich.markdown
    assert "Not all was measured" not in calm.markdown
    lost = [row for row in read(rich.folder / "results.csv") if row["metric"] in ("diverged_at", "failed_at")]
    assert {(row["cell"], int(row["seed"])) for row in lost} == {
        *(("moons-nice", 1), ("moons-maf", 0), ("moons-cnf", 0), ("moons-cnf", 2)),
        *((HOSTILE, seed) for seed in range(3)),
    }


def test_a_flow_that_fails_certification_is_flagged_in_its_rows(rich):
    rows = [row for row in rich.html.rows if row[0].startswith("mnist · glow")]
    assert [row[-1] for row in rows][:2] == ["fails", "passes"]
    assert rows[0][0] == "mnist · glow fails certification in float32"
    assert "| glow (fails certification in float32) |" in rich.markdown
    assert rich.markdown.count("| **fails** |") == 1


def test_one_seed_has_no_interval_and_no_winner(calm):
    assert not any("±" in cell or "n = 1" in cell for row in calm.html.rows for cell in row)
    assert "**0" not in calm.markdown
    assert "One seed each cannot show what differs by chance, so nothing is marked as best." in calm.markdown
    assert "**One seed each (n = 1). Likelihoods are exact.**" in calm.markdown


def test_a_section_says_what_the_data_is_and_what_the_numbers_say(calm):
    for shown in calm.both:
        assert text.data_sets()["two_modes"] in shown
        assert re.search(r"Result[.:]\**\s+planar reaches \S+ \(n = 1\)|planar reaches \S+ nats of KL", shown)


def test_pictures_of_one_kind_are_together_in_a_sensible_order_and_say_their_seed(rich):
    moons, _, mnist = rich.markdown.partition("## mnist")
    galleries = [part.partition(" (") for part in mnist.split("<summary>")[1:]]
    found = {title: re.findall(r"figures/mnist-(.*?)\.png", links) for title, _, links in galleries}
    assert list(found) == ["Samples", "Reconstructions", "Interpolations", "Latent space"]
    assert found["Samples"] == [f"{flow}-samples" for flow in ("maf", "glow", "gaussian", "flow_matching")]
    assert found["Latent space"] == ["glow-latent_space"]
    assert "![glow: latent space](figures/mnist-glow-latent_space.png)" in rich.markdown
    assert mnist.count(" (lowest seed that finished: 0)</summary>") == 4
    seeds = "0 of nice, iaf_distilled, gaussian; 1 of maf, cnf"
    assert f"<summary>Densities (lowest seed that finished: {seeds})</summary>" in moons


def test_columns_are_explained_by_their_heads(rich):
    heads = rich.html.titles
    assert heads.keys() >= {"bits per dim", "training, s", "sampling, 1/s", "round trip", "verdict", "parameters"}
    glossary = rich.both[1].partition("## What the numbers mean")[2]
    assert all(f"**{head}**" in glossary for head in heads)
    assert f"**noise, max** (data units): {heads['noise, max']} `invertibility_error_max_noise`" in glossary


def test_budgets_are_told_once_where_they_are_the_same(rich, calm):
    assert "gaussian, moons, mnist: 300 steps of 512 examples (3.1 epochs), 3 seeds" in rich.markdown
    assert "two_modes: 300 steps of 512 examples, 1 seed" in calm.markdown


def test_all_options_are_shown_but_those_that_mean_nothing_beside_the_others(rich):
    rows = rich.html.rows
    assert ["flow_matching", "mnist", "architecture vector, coupling independent, hidden 2 × 64, no probes"] in rows
    assert ["maf", "moons", "hidden 2 × 64, layers 8"] in rows
    (student,) = (row[2] for row in rows if row[:2] == ["moons", "iaf_distilled"] and "batch size" in row[2])
    assert "anneal steps 100" in student
    assert "snapshot" not in student
    (maf,) = (row[2] for row in rows if row[:2] == ["moons", "maf"] and "batch size" in row[2])
    assert "clip norm 5.0" in maf
    assert "seeds [0, 1, 2], device auto; without" in maf
    assert "anneal" not in maf


def test_every_row_of_a_cell_leads_to_where_it_comes_from(rich):
    targets = {unquote(address) for address in rich.html.addresses if address.startswith("#cell-")}
    assert targets == {f"#cell-{key}" for key in CELLS}
    assert rich.raw.count('id="cell-moons-maf"') == 1
    md5 = hashlib.md5((rich.results / "moons-maf" / "metrics.json").read_bytes()).hexdigest()
    command = "dvc repro suites/tiny/dvc.yaml:evaluate@moons-maf"
    assert rich.html.row("moons-maf")[1:] == ["data.moons, flows.maf.plane, budgets.tiny", command, md5, 12 * "b"]


def test_differing_hosts_versions_and_data_are_pointed_out(rich, calm):
    assert not re.search("(Hosts|Versions|Data) differ", calm.markdown)
    shown = rich.both[1]
    assert "Host C: cpu: B processor, 2 cores, Linux (mnist-maf)." in shown
    assert "Host A: cpu: <script>4</script>, 2 cores, Linux (moons-nice)." in shown
    assert "**Versions differ**: torch 2.9.0 (" in shown
    assert "<script>3</script> (moons-nice)." in shown
    assert "not all cells on moons saw the same splits, so they cannot be compared: " in shown
    hosts = {row[0]: row[-1] for row in rich.html.rows if re.fullmatch(r"[ABC](, [ABC])?", row[-1])}
    assert hosts["mnist · maf"] == "B, C"
    assert hosts["moons · nice failed"[:12] + " 1 of 3 diverged"] == "A, B"


def test_a_page_tells_what_its_cells_were_made_of_and_where(rich, calm):
    for shown in rich.both:
        assert "<script>5</script> (moons-nice)" in shown
        assert f"test {12 * 'd'}" in shown
        assert "60 kills; 12,345 hostile inputs: afterwards" in shown
        assert 64 * "c" in shown
    for shown in calm.both:
        assert "Measured on: cpu: A processor, 2 cores, Linux (all cells)" in shown
        assert "python 3.12.1, torch 2.9.0" in shown
        assert f"test {hashlib.sha256(b'moons test').hexdigest()[:12]}" in shown
        assert "make test-slow" not in shown


def test_ranks_over_data_sets_say_when_they_are_too_few(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_drawn", lambda *_: [])
    cells = {f"{data}-{flow}": (data, flow) for data in ("moons", "digits") for flow in ("nice", "maf", "gaussian")}
    shown = written(tmp_path, fake_results.suite(cells), rows=1)
    assert "2 data sets are too few to tell any flows apart" in shown.markdown
    assert not (shown.folder / "figures" / "ranks.png").exists()
    rows = [row for row in shown.html.rows if len(row) == 4 and re.fullmatch(r"\d\.\d\d", row[3] or "")]
    assert sorted(row[0] for row in rows) == ["maf", "nice"], "the flows, without the baseline"
    for _, first, second, mean in rows:
        assert float(mean) == pytest.approx((float(first) + float(second)) / 2, abs=0.006)


@pytest.mark.parametrize("order", ["the same", "in turns"])
def test_ranks_over_enough_data_sets_are_drawn_where_they_tell_flows_apart(tmp_path, monkeypatch, order):
    datasets, flows = ("moons", "digits", "gaussian", "checkerboard", "two_modes"), ("nice", "maf", "iaf")
    places = {
        f"{data}-{flow}": {"bits_per_dim": 2 + (j if order == "the same" else (i + j) % 3), "kl_to_target": None}
        for i, data in enumerate(datasets)
        for j, flow in enumerate(flows)
    }
    cells = {f"{data}-{flow}": (data, flow) for data in datasets for flow in flows}
    monkeypatch.setattr(page, "_drawn", lambda *_: [])
    shown = written(tmp_path, fake_results.suite(cells), seeds=3, rows=1, values=places)
    assert ("none differ by more" in shown.markdown) == (order == "in turns")
    assert (shown.folder / "figures" / "ranks.png").exists() == (order == "the same")
    assert ("bars overlap are not told apart" in shown.markdown) == (order == "the same")


def test_a_failure_leaves_the_old_report(calm, monkeypatch):
    before = {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(page, "render", lambda *_: 1 / 0)
    monkeypatch.setattr(page, "_drawn", lambda *_: [])
    with pytest.raises(ZeroDivisionError):
        shown(calm.folder.parent, fake_results.suite(CALM))
    assert {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()} == before
    assert not list(calm.folder.glob(".unfinished*"))


def test_the_same_results_give_the_same_bytes(calm, monkeypatch):
    before = {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()}
    shown(calm.folder.parent, fake_results.suite(CALM))
    assert {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()} == before


def test_the_package_loads_nothing_that_takes_seconds():
    code = "import sys, flowbench.report; print(*{'matplotlib', 'pandas', 'scipy', 'jinja2', 'torch'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "\n"
