"""The pages of two reports: one of cells that had every misfortune, and one of cells that had none."""

import hashlib
import re
import shutil
from urllib.parse import unquote

import pytest

from flowbench.records.training import Provenance, TrainTimings
from flowbench.report.views import page
from flowbench.report.views.text import words
from tests import fake_results
from tests.report.made_up import Page, read, reported, written

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


@pytest.fixture(scope="module")
def calm(tmp_path_factory, quick):
    """One seed of each of three cells."""
    return written(tmp_path_factory.mktemp("calm"), fake_results.suite(CALM), seeds=1)


@pytest.fixture(scope="module")
def rich(tmp_path_factory, quick):
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
    return reported(folder, suite, 64 * "c", {"inputs": 12345, "kills": 60}, {"moons-maf": 64 * "b"})


def test_pages_link_to_figures_scripts_and_papers_and_to_nothing_else(rich):
    links = re.findall(r"!\[[^\]]*\]\((.*?)\)", rich.markdown)
    figures_there = {f"figures/{path.name}" for path in (rich.folder / "figures").iterdir()}
    assert {unquote(link) for link in links} <= figures_there
    addresses = {unquote(address) for address in rich.html.addresses}
    assert {address for address in addresses if address.startswith("figures/")} <= figures_there
    others = {address for address in addresses if not address.startswith(("figures/", "#"))}
    papers = {address for address in others if address.startswith("https://arxiv.org/abs/")}
    assert papers
    assert others - papers == {"../index.html", "results.csv", "../assets/vega.js", "../assets/sortable.js"}


def test_captions_have_at_most_25_words(rich, calm):
    for shown in (rich, calm):
        found = re.findall(r"<(caption|figcaption)>(.*?)</\1>", shown.raw, re.S)
        assert {kind for kind, _ in found} == {"caption", "figcaption"}
        texts = [re.sub("<[^>]*>", "", text) for _, text in found]
        assert [text for text in texts if len(text.split()) > 25] == []


def test_baselines_do_not_look_like_flows_in_the_map(rich):
    (of_gaps, *_) = re.findall(r'<div class="map".*?</table>', rich.raw, re.S)
    flows, baselines = of_gaps.split('<tbody class="baselines">')
    name = '<th scope="row"><a href="#flow-gaussian">'
    assert name in baselines
    assert name not in flows
    assert re.search(r'class="g\d', flows)
    assert not re.search(r'class="g\d', baselines)


def test_names_of_flows_lead_to_their_cards_and_cards_to_their_cells(rich):
    (of_gaps, *_) = re.findall(r'<div class="map".*?</table>', rich.raw, re.S)
    assert '<a href="#flow-maf">maf</a>' in of_gaps
    cards = rich.raw.partition('<div class="cards">')[2]
    assert re.search(r'<dt>(Best on|Tied for best on|Last on)</dt><dd><a href="#cell-moons-', cards)


@pytest.mark.parametrize("url", ["", "https://example.org/flows.git"])
def test_a_clone_is_told_where_the_repository_is_known(tmp_path, quick, monkeypatch, url):
    from email.message import Message

    about = Message()
    if url:
        about["Project-URL"] = f"Repository, {url}"
    monkeypatch.setattr(page.origin, "repository", lambda: page.origin.address(about))
    shown = written(tmp_path, fake_results.suite(CALM), seeds=1, rows=1)
    for one in (shown.raw, shown.markdown):
        assert ("git clone" in one) == bool(url)
        assert ("In a clone of the repository:" in one) == (not url)
    assert f"git clone {url} flowbench &amp;&amp;" in shown.raw or not url


def test_anchors_are_there_and_do_not_depend_on_what_else_is_on_the_page(rich, calm):
    for shown in (rich, calm):
        targets = {address[1:] for address in shown.html.addresses if address.startswith("#")}
        ids = re.findall(r' id="([^"]*)"', shown.raw)
        assert targets <= set(ids)
        assert len(ids) == len(set(ids))
        assert "data-moons" in ids
        assert "cell-moons-nice" in ids


def test_names_and_what_files_say_are_text_and_never_markup(rich):
    assert not re.search(r"(?<!\\)<(?!/?details>|/?summary>)", re.sub("`[^`]*`", "", rich.markdown))
    for entity in ("&#", "&lt;", "&quot;"):
        assert entity not in rich.markdown
    for shown in rich.both:
        assert set(re.findall(r"<script>\d</script>", shown)) == {f"<script>{i}</script>" for i in range(7)}
    assert r"\*so\*" in rich.markdown
    assert "realnvp<img src=x>|*&" in rich.html.text


def test_both_pages_show_the_same_numbers(rich):
    numbers = {cell for row in rich.html.rows for cell in row[1:] if "±" in cell}
    assert len(numbers) > 15
    assert all(number in rich.both[1] for number in numbers)


def test_cells_that_have_not_been_run_are_named(rich, calm):
    assert "**Not run yet:** moons-glow.\n" in rich.markdown
    assert "<b>Not run yet:</b> moons-glow.</p>" in rich.raw
    assert "not run" in [field for row in rich.html.rows if row[0] == "glow" for field in row]
    assert "moons-glow" not in (rich.folder / "results.csv").read_text(encoding="utf-8")
    assert "Not run yet" not in calm.markdown + calm.raw


def test_lost_seeds_are_listed_with_the_options_to_change_and_marked_in_their_rows(rich, calm):
    why = "the loss was no longer finite at step 150; lower budgets.tiny.train.learning_rate, or"
    for shown in rich.both:
        assert shown.count("Not all was measured") == 1
        assert f"moons-nice, seed 1 diverged: {why} set budgets.tiny.train.clip_norm." in shown
        assert f"moons-maf, seed 0 diverged: {why} lower budgets.tiny.train.clip_norm." in shown
        assert f"seeds 0, 1, 2 diverged: {why}" in shown
        assert f"moons-cnf, seeds 0, 2 failed: {REASON}." in shown
        assert "moons-cnf, seed 1 measured in part: <script>6</script>." in shown
    assert [row[0] for row in rich.html.rows if row[0].startswith("nice ")] == ["nice 1 of 3 diverged"] * 2
    assert "Not all was measured" not in calm.markdown
    assert "Every cell passes certification, and no seed was lost." in calm.markdown
    lost = [row for row in read(rich.folder / "results.csv") if row["metric"] in ("diverged_at", "failed_at")]
    assert {(row["cell"], int(row["seed"])) for row in lost} == {
        *(("moons-nice", 1), ("moons-maf", 0), ("moons-cnf", 0), ("moons-cnf", 2)),
        *((HOSTILE, seed) for seed in range(3)),
    }


def test_a_flow_that_fails_certification_is_first_under_can_i_believe_it_and_marked_everywhere(rich):
    for shown in rich.both:
        believe = shown.partition("Can I believe it?\n")[2].strip()
        assert believe.startswith(("These fail certification", "**These fail certification"))
        assert "mnist-glow: float32: data, max is 1.1 × 10⁻³, and the limit is 1.0 × 10⁻³." in believe
    assert "glow (fails certification: float32)" in rich.both[1]
    assert 'aria-label="glow on mnist: ' in rich.raw
    assert "| **fails** |" in rich.markdown


def test_who_writes_a_report_is_told_what_fails_certification(rich, calm):
    reason = "float32: data, max is 1.1 × 10⁻³, and the limit is 1.0 × 10⁻³"
    assert (rich.refused, calm.refused) == ({"mnist-glow": [reason]}, {})


def test_one_seed_has_no_interval_and_no_winner(calm):
    assert not any("±" in cell or "n = 1" in cell for row in calm.html.rows for cell in row[1:])
    assert "One seed each: no intervals." in calm.markdown


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"nice": 2.0, "realnvp": 1.0, "maf": 3.0}, "realnvp is the best flow: 1.000 ± 0.025 bits per dim."),
        (
            {"nice": 1.0, "realnvp": 1.001, "maf": 3.0, "gaussian": 0.5},
            "nice has the best mean, 1.000 ± 0.025 bits per dim, and cannot be told from realnvp. "
            "The baseline gaussian has a better mean than every flow that can be best.",
        ),
        (
            {"nice": None, "realnvp": None, "maf": 3.0},
            "maf reaches 3.000 ± 0.025 bits per dim; no other flow is compared with it.",
        ),
        ({"nice": None, "realnvp": None, "maf": None}, "No certified flow has finite bits per dim."),
    ],
)
def test_one_sentence_says_who_leads(made, values, sentence):
    of = {
        f"moons-{name}": {"bits_per_dim": value and [value - 0.01, value, value + 0.01]}
        for name, value in values.items()
    }
    of.setdefault("moons-gaussian", {"bits_per_dim": [4.0, 4.01, 4.02]})
    assert page._verdict(made(values=of)) == sentence


def test_a_flow_that_cannot_be_best_and_has_a_better_score_is_told(made):
    values = {"moons-nice": {"bits_per_dim": [0.10, 0.11, 0.12], "invertibility_error_max": 1.0}}
    found = page._verdict(made(values=values | {"moons-maf": {"bits_per_dim": [9.0, 9.01, 9.02]}}))
    assert "Cannot be best: nice (fails certification: float32). The score of nice is better" in found


def test_words_of_the_page_are_defined(calm):
    for shown in calm.both:
        assert "last fifth brought less than 2 % of the fall" in shown
    assert 'href="#term-plateau"' in calm.raw


def test_a_section_says_what_the_data_is(calm):
    for shown in calm.both:
        assert words("words")["data_sets"]["two_modes"] in shown


def test_pictures_of_a_cell_are_with_it_in_a_sensible_order(rich):
    card = rich.markdown.partition("<summary>mnist · glow")[2].partition("</details>")[0]
    found = re.findall(r"figures/mnist-glow-(.*?)\.png", card)
    assert found == ["samples", "reconstructions", "latent_space", "interpolation"] or found[-1] == "latent_space"
    assert "Latent space (seed 0)" in card
    assert "seed 1" in rich.markdown.partition("<summary>moons · maf")[2].partition("</details>")[0]


def test_all_options_are_shown_but_those_that_mean_nothing_beside_the_others(rich):
    assert "architecture vector, coupling independent, hidden 2 × 64, no probes" in rich.html.text
    of = rich.markdown.partition("<summary>moons · iaf_distilled")[2].partition("</details>")[0]
    assert "anneal steps 100" in of
    assert "snapshot" not in of
    of = rich.markdown.partition("<summary>moons · maf")[2].partition("</details>")[0]
    assert "clip norm 5.0" in of
    assert "seeds \\[0, 1, 2\\], device auto; without" in of
    assert "anneal" not in of


def test_every_cell_says_how_it_was_made(rich):
    of = rich.both[1].partition("<summary>moons · maf")[2].partition("</details>")[0]
    md5 = hashlib.md5((rich.results / "moons-maf" / "metrics.json").read_bytes()).hexdigest()
    for part in (
        "made by: `dvc repro suites/tiny/dvc.yaml:evaluate@moons-maf`",
        "made of: `data.moons`, `flows.maf.plane`, `budgets.tiny` in `params.yaml`",
        f"trained at: commit `{40 * 'a'}`",
        f"metrics.json: MD5 `{md5}`",
        f"begins with `{12 * 'b'}`",
        "weights: `results/tiny/moons-maf/trained/`",
    ):
        assert part in of, of


def test_differing_hosts_versions_and_data_are_pointed_out(rich, calm):
    assert not re.search("(Hosts|Versions|Data) differ", calm.markdown)
    shown = rich.both[1]
    assert "Host C: cpu: B processor, 2 cores, Linux (mnist-maf)" in shown
    assert "Host A: cpu: <script>4</script>, 2 cores, Linux (moons-nice)" in shown
    assert "**Versions differ:** torch 2.9.0 (" in shown
    assert "<script>3</script> (moons-nice)." in shown
    assert "not all cells on moons saw the same splits, so they cannot be compared: " in shown


def test_a_page_tells_what_its_cells_were_made_of_and_where(rich, calm):
    for shown in rich.both:
        assert "<script>5</script>" in shown
        assert f"test {12 * 'd'}" in shown
        assert "60 kills; 12,345 hostile inputs: afterwards" in shown
        assert 64 * "c" in shown
    for shown in calm.both:
        assert "cpu: A processor, 2 cores, Linux (all cells)" in shown
        assert "python 3.12.1, torch 2.9.0" in shown
        assert f"test {hashlib.sha256(b'moons test').hexdigest()[:12]}" in shown
        assert "make test-slow" not in shown


def test_ranks_over_data_sets_say_when_they_are_too_few(tmp_path, quick):
    cells = {f"{data}-{flow}": (data, flow) for data in ("moons", "digits") for flow in ("nice", "maf", "gaussian")}
    shown = written(tmp_path, fake_results.suite(cells), rows=1)
    assert "2 data sets are too few to tell flows apart" in shown.markdown


def test_every_suite_that_has_a_report_is_linked(tmp_path, calm):
    shutil.copytree(calm.folder, tmp_path / "one")
    page.write_index(tmp_path, {"one": "a <b>suite</b>", "two": "not made yet"})
    assert Page((tmp_path / "index.html").read_text(encoding="utf-8")).addresses == [
        "one/index.html",
        "one/results.csv",
    ]
    assert "[one](one/README.md)" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_failure_leaves_the_old_report(calm, monkeypatch, quick):
    before = {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(page, "render", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reported(calm.folder.parent, fake_results.suite(CALM))
    assert {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()} == before
    assert not list(calm.folder.glob(".unfinished*"))


def test_the_same_results_give_the_same_bytes(tmp_path):
    calm = written(tmp_path, fake_results.suite(CALM), seeds=1)
    before = {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()}
    reported(calm.folder.parent, fake_results.suite(CALM))
    assert {path: path.read_bytes() for path in calm.folder.rglob("*") if path.is_file()} == before
