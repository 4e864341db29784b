import csv
import json
import re
import shutil
from html import unescape
from urllib.parse import unquote

import pytest

from flowbench import data
from flowbench.metrics import METRICS
from flowbench.report import page
from flowbench.report.datasets import ABOUT
from flowbench.report.figures import _limits
from flowbench.report.numbers import power
from tests import fake_results
from tests.report.pages import CELLS, Page, read

MAF = {"layers": 5, "hidden": [1024, 1024], "logit": 1e-6}
IMAGES = {
    "mnist-maf": ("mnist", "maf"),
    "mnist-glow": ("mnist", "glow"),
    "mnist-gaussian": ("mnist", "gaussian"),
    "fashion_mnist-maf": ("fashion_mnist", "maf"),
}


def test_results_csv_holds_every_value_of_every_seed(report, tmp_path):
    rows = read(report() / "results.csv")
    assert tuple(rows[0]) == page.COLUMNS
    assert rows == sorted(rows, key=lambda row: tuple(row[name] for name in page.COLUMNS))
    found = {(row["cell"], row["seed"], row["metric"]): float(row["value"]) for row in rows}
    assert len(found) == len(rows)
    expected = {}
    for key in CELLS:
        folder = tmp_path / "results" / key
        for row in read(folder / "seeds.csv"):
            expected[key, row["seed"], row["metric"]] = float(row["value"])
        training, *timings = (
            json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("training", "train_timings", "timings")
        )
        for seed in training["seeds"]:
            expected[key, seed, "parameters"] = training["parameters"]
        for values in timings:
            for seed, row in values["seeds"].items():
                expected |= {(key, seed, name): value for name, value in row.items() if name in METRICS}
    assert found == expected
    nice = next(row for row in rows if row["cell"] == "moons-nice" and row["metric"] == "bits_per_dim")
    assert (nice["suite"], nice["dataset"], nice["flow"], nice["unit"]) == ("tiny", "moons", "nice", "bits/dim")


def test_the_html_page_stands_alone_and_the_markdown_page_links_to_its_figures(report):
    folder = report()
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in html.addresses)
    assert not html.tags & {"script", "link", "iframe"}
    links = re.findall(r"!\[[^\]]*\]\((.*?)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert {unquote(link) for link in links} == {f"figures/{path.name}" for path in (folder / "figures").iterdir()}
    # Curves of each data set, the cost of the one with several cells, a picture of each cell, and two more of images.
    assert len(links) == len(set(links)) == 4 + 1 + len(CELLS) + 2


def test_cells_that_have_not_been_run_are_named(report, tmp_path):
    folder = report()
    assert "Not run yet" not in (folder / "README.md").read_text(encoding="utf-8") + (folder / "index.html").read_text(
        encoding="utf-8"
    )
    shutil.rmtree(tmp_path / "results" / "moons-nice")
    page.write(tmp_path / "results", fake_results.suite(CELLS), folder)
    assert "**Not run yet:** moons-nice.\n" in (folder / "README.md").read_text(encoding="utf-8")
    assert "<b>Not run yet.</b> moons-nice.</p>" in (folder / "index.html").read_text(encoding="utf-8")
    assert "moons-nice" not in (folder / "results.csv").read_text(encoding="utf-8")


def test_both_pages_show_the_same_numbers(report):
    folder = report()
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    markdown = unescape((folder / "README.md").read_text(encoding="utf-8"))
    numbers = [cell for row in html.rows for cell in row if "±" in cell]
    assert len(numbers) > 25
    assert all(number in markdown for number in numbers)


def test_what_is_no_flow_or_no_result_is_marked(report):
    diverged = {"moons-nice": [1], "moons-realnvp": [0, 1, 2], "digits-maf": [0, 1, 2]}
    folder = report(diverged=diverged)
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert html.row("nice")[0] == "nice 1 of 3 diverged"
    assert html.row("gaussian baseline")
    assert html.row("realnvp")[:2] == ["realnvp 3 of 3 diverged", "–"]
    assert html.row("maf")[0] == "maf 3 of 3 diverged"
    assert "nice (1 of 3 diverged)" in (folder / "README.md").read_text(encoding="utf-8")
    lost = [row for row in read(folder / "results.csv") if row["metric"] == "diverged_at"]
    assert {(row["cell"], int(row["seed"])) for row in lost} == {
        (key, seed) for key in diverged for seed in diverged[key]
    }


def test_one_seed_has_no_interval_and_no_winner(report):
    folder = report(seeds=1)
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        (folder / "README.md").read_text(encoding="utf-8"),
    )
    assert not any("±" in cell for row in html.rows for cell in row if row[0] != "maf")
    assert "**0" not in markdown
    assert not any("n = 1" in cell for row in html.rows for cell in row)
    assert "One seed each cannot say what differs by chance, so nothing is marked as best." in markdown
    assert markdown.count("**One seed each (n = 1); likelihoods are exact.**") == 3


def test_one_seed_on_images_has_the_standard_error_over_test_examples(report, tmp_path):
    markdown = (report(IMAGES, seeds=1) / "README.md").read_text(encoding="utf-8")
    assert (
        "(n = 1); ± is one standard error over the test examples; likelihoods are exact; bits per dim: 10 draws of"
        in markdown
    )
    html = Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    rows = read(tmp_path / "results" / "fashion_mnist-maf" / "seeds.csv")
    error = next(float(row["value"]) for row in rows if row["metric"] == "bits_per_dim_standard_error")
    row = dict(zip(html.row("flow"), html.row("maf"), strict=True))
    assert row["bits per dim"].endswith(f"± {error:.4f}")


def test_a_table_of_images_holds_the_worst_round_trip(report, tmp_path):
    html = Page((report(IMAGES) / "index.html").read_text(encoding="utf-8"))
    values = [
        float(row["value"])
        for row in read(tmp_path / "results" / "fashion_mnist-maf" / "seeds.csv")
        if row["metric"]
        in ("invertibility_error_max", "invertibility_error_max_noise", "latent_invertibility_error_max")
    ]
    assert len(values) == 9
    row = dict(zip(html.row("flow"), html.row("maf"), strict=True))
    assert row["round trip"] == power(max(values))
    assert html.row("gaussian baseline")[-1] == "–"


def test_certificates_are_apart_by_precision_and_leave_out_what_has_no_round_trip(report):
    html = Page((report(IMAGES) / "index.html").read_text(encoding="utf-8"))
    heads, rows = ([row for row in html.rows if row[0] == name] for name in ("cell", "mnist · maf"))
    assert heads[0][1:] == ["data, max", "data, mean", "noise, max", "latent, max", "not finite", "verdict"]
    assert heads[1][-2:] == ["log-det., max", "verdict"]
    assert len(rows) == 3, "two certificates, and the costs"
    assert sum(row[0] == "mnist · gaussian baseline" for row in html.rows) == 1


def test_published_values_stand_beside_ours_with_both_budgets_or_as_context(report):
    options = {"flow": {"mnist-maf": MAF, "mnist-glow": {"scales": 2, "steps": 4, "hidden": [32]}}}
    folder = report(IMAGES, seeds=1, budget={"mnist-maf": {"steps": 1000, "batch_size": 100}}, **options)
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        (folder / "README.md").read_text(encoding="utf-8"),
    )
    of_mnist = html.rows[html.rows.index(next(row for row in html.rows if "published" in row)) :]
    quality = {row[0]: dict(zip(of_mnist[0], row, strict=True)) for row in of_mnist[:4]}
    assert quality["maf"]["published"] == "1.89"
    assert quality["glow"]["published"] == ""
    assert (quality["maf"]["steps × batch"], quality["maf"]["epochs"]) == ("1,000 × 100", "2.0")
    pair = next(row for row in html.rows if row[0] == "maf" and "1.89" in row[2:3] and "epochs" in row[3])
    assert pair[1] == quality["maf"]["bits per dim"]
    assert re.fullmatch(r"1,000 steps of 100 examples \(2.0 epochs\); [\d.]+ s on cpu", pair[3])
    assert "30 epochs without gain" in pair[4]
    assert pair[6].startswith("MAF (5), MAF (Papamakarios) 2017, arXiv 1705.07057")
    assert html.row("MAF (10)")[1:3] == ["1.91", "layers 10, here 5"]
    assert html.row("Glow")[1:3] == ["1.05", "sizes and preprocessing not stated"]
    assert html.row("IDF")[1:3] == ["3.47", "dequantisation: none; another model"]
    assert "context, and no comparison" in markdown
    assert "mnist: each flow has its own, in their table" in markdown
    assert "fashion_mnist: 300 steps of 512 examples (3.1 epochs), 1 seed" in markdown


def test_pictures_of_one_kind_are_together_in_a_sensible_order(report):
    def change(results):
        (results / "mnist-glow" / "pictures" / "latent_space.png").write_bytes(fake_results.PIXEL)

    markdown = (report(IMAGES, change=change) / "README.md").read_text(encoding="utf-8").partition("## mnist")[2]
    assert markdown.count(" (lowest seed that finished: 0)</summary>") == 4
    galleries = [part.partition(" (") for part in markdown.split("<summary>")[1:]]
    found = {title: re.findall(r"figures/mnist-(.*?)\.png", links) for title, _, links in galleries}
    assert list(found) == ["Samples", "Reconstructions", "Interpolations", "Latent space"]
    assert found["Samples"] == ["maf-samples", "glow-samples", "gaussian-samples"]
    assert found["Reconstructions"] == ["maf-reconstructions", "glow-reconstructions"]
    assert found["Latent space"] == ["glow-latent_space"]
    assert "![glow: latent space](figures/mnist-glow-latent_space.png)" in markdown


def test_the_floor_and_the_true_moments_stand_beside_the_learnt(report):
    html = Page((report() / "index.html").read_text(encoding="utf-8"))
    assert html.row("entropy floor")[1:3] == ["1.8400", ""]
    heads = next(row for row in html.rows if "mean of x1" in row)
    mean = heads.index("mean of x1")
    assert html.row("truth")[mean] == "2.00"
    learnt = html.rows[html.rows.index(heads) + 1 : html.rows.index(html.row("truth"))]
    assert learnt
    assert all(row[mean].startswith(("1.9", "2.0")) for row in learnt)


def test_names_are_text_and_never_markup(report):
    key = "moons-nice<img src=x>|*&"
    folder = report(cells={key: ("moons", "nice")}, about="<script>alert(1)</script> & *so* on")
    html = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert "script" not in html.tags
    assert "<script>alert(1)</script> & *so* on." in html.text
    assert html.row("nice<img")[0] == key.removeprefix("moons-")
    markdown = (folder / "README.md").read_text(encoding="utf-8")
    assert not re.search(r"<(?!/?details>|/?summary>)", markdown)
    assert "&#42;so&#42;" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| nice")]
    assert rows
    assert {line.count("|") for line in rows[:1]} == {
        next(m.count("|") for m in markdown.splitlines() if m.startswith("| flow"))
    }


def test_what_files_say_is_text_and_never_markup(report):
    planted = {
        "A processor": "train_timings.json",
        40 * "a": "train_timings.json",
        "2.9.0": "training.json",
        "not solved": "training.json",
        "an option": "training.json",
        "in vain": "metrics.json",
    }

    def change(results):
        for i, (old, name) in enumerate(planted.items()):
            path = results / "moons-nice" / name
            assert old in path.read_text(encoding="utf-8"), "or nothing is planted"
            path.write_text(path.read_text(encoding="utf-8").replace(old, f"<script>{i}</script>"), encoding="utf-8")

    lost = {"failed": {"moons-nice": {0: "not solved"}}, "not_measured": {"moons-nice": {1: "in vain"}}}
    folder = report(change=change, flow={"moons-nice": {"prior": "an option"}}, **lost)
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        (folder / "README.md").read_text(encoding="utf-8"),
    )
    assert "script" not in html.tags
    assert "<script" not in markdown
    for text in ("".join(html.text), unescape(markdown)):
        assert set(re.findall(r"<script>\d</script>", text)) == {f"<script>{i}</script>" for i in range(len(planted))}


def test_a_section_says_what_the_data_is_and_what_the_numbers_say(report):
    folder = report()
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        unescape((folder / "README.md").read_text(encoding="utf-8")),
    )
    for text in ("".join(html.text).replace("\xa0", " "), markdown.replace("**", "")):
        assert ABOUT["digits"] in text
        assert re.search(r"In short[.:] affine reaches \S+ ± \S+ bits per dim, above the true density's by 0\.", text)
        assert re.search(r"In short[.:] planar reaches \S+ ± \S+ nats of KL to the target\.", text)


def test_every_data_source_is_described():
    assert ABOUT.keys() == set(data.names())
    assert all(text.endswith(".") for text in ABOUT.values())


@pytest.mark.parametrize(
    ("metric", "value", "flagged"),
    [
        ("invertibility_error_max", "0.0011", "float32"),
        ("invertibility_error_max", "nan", "float32"),
        ("invertibility_error_max_float64", "1.1e-08", "float64"),
        ("logdet_error_max", "inf", "float64"),
        ("latent_invertibility_error_max", "inf", None),
    ],
)
def test_a_flow_that_fails_certification_is_flagged_in_its_rows(report, metric, value, flagged):
    def change(results):
        path = results / "moons-nice" / "seeds.csv"
        path.write_text(
            re.sub(rf"^(1,{metric}),[^,]+", rf"\1,{value}", path.read_text(encoding="utf-8"), flags=re.MULTILINE),
            encoding="utf-8",
        )

    folder = report(change=change)
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        (folder / "README.md").read_text(encoding="utf-8"),
    )
    verdicts = [row[-1] for row in html.rows if row[0].startswith("moons · nice")][:2]
    assert verdicts == ["fails" if flagged == precision else "passes" for precision in ("float32", "float64")]
    note = f"fails certification in {flagged}"
    assert html.row("nice")[0] == (f"nice {note}" if flagged else "nice")
    assert (f"| nice ({note}) |" in markdown) == bool(flagged)
    assert markdown.count("| **fails** |") == bool(flagged)


def test_a_log_determinant_that_was_not_measured_is_not_passed(report):
    def change(results):
        path = results / "moons-nice" / "seeds.csv"
        path.write_text(
            "".join(
                line for line in path.read_text(encoding="utf-8").splitlines(True) if ",logdet_error_max," not in line
            ),
            encoding="utf-8",
        )

    html = Page((report(change=change) / "index.html").read_text(encoding="utf-8"))
    verdicts = [row[-1] for row in html.rows if row[0] == "moons · nice"][:2]
    assert verdicts == ["passes", "round trip passes"]


def test_columns_are_explained_by_their_heads(report):
    folder = report(IMAGES)
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")),
        unescape((folder / "README.md").read_text(encoding="utf-8")),
    )
    heads = html.titles
    assert heads["noise, max"] == METRICS["invertibility_error_max_noise"].about
    assert heads.keys() >= {"bits per dim", "training, s", "sampling, 1/s", "round trip", "verdict", "parameters"}
    assert "**noise, max** (data units): " + heads["noise, max"] + " `invertibility_error_max_noise`" in markdown
    glossary = markdown.partition("## What the numbers mean")[2]
    assert all(f"**{head}**" in glossary for head in heads)


def test_likelihoods_have_a_column_only_where_they_differ(report):
    def change(results):
        path = results / "moons-nice" / "training.json"
        path.write_text(
            path.read_text(encoding="utf-8").replace('"likelihood": "exact"', '"likelihood": "bound"'), encoding="utf-8"
        )

    html = Page((report(change=change) / "index.html").read_text(encoding="utf-8"))
    assert html.row("nice")[1] == "bound"
    assert html.row("realnvp")[1] == "exact"
    assert [row for row in html.rows if "likelihood" in row] == [html.rows[html.rows.index(html.row("nice")) - 1]]


def test_all_options_are_shown(report):
    budget = {"learning_rate": 0.004, "clip_norm": 0.0, "anneal_steps": 100, "ema_decay": 0.9, "compile": False}
    flow = {"moons-nice": {"hidden": [64, 64], "logit": None, "interleave": True}}
    html = Page((report(budget=dict.fromkeys(CELLS, budget), flow=flow) / "index.html").read_text(encoding="utf-8"))
    assert ["nice", "moons", "hidden 2 × 64, interleave, no logit"] in html.rows
    words = "steps 300, batch size 512, seeds [0, 1, 2], learning rate 0.004, ema decay 0.9"
    assert ["moons", "all", f"{words}; without clip norm, compile"] in html.rows
    assert ["two_modes", "all", f"{words}, anneal steps 100; without clip norm, compile"] in html.rows


@pytest.mark.parametrize(("anneal_steps", "told"), [(1000, "with β growing to 0.31"), (250, "")])
def test_an_annealing_that_did_not_end_is_told(anneal_steps, told, report):
    markdown = (report(budget={"two_modes-planar": {"anneal_steps": anneal_steps}}) / "README.md").read_text(
        encoding="utf-8"
    )
    assert told in markdown
    assert ("growing to" in markdown) == bool(told)


def test_a_student_has_the_annealing_of_its_teachers_density(report):
    budget = {"moons-iaf_distilled": {"anneal_steps": 100, "snapshot_every": 50}}
    cells = {"moons-maf": ("moons", "maf"), "moons-iaf_distilled": ("moons", "iaf_distilled")}
    html = Page((report(cells, budget=budget) / "index.html").read_text(encoding="utf-8"))
    (options,) = (row[2] for row in html.rows if row[:2] == ["moons", "iaf_distilled"] and "batch size" in row[2])
    assert "anneal steps 100" in options
    assert "snapshot" not in options


@pytest.mark.parametrize("alpha", [None, 0.05])
def test_pixels_that_pass_different_logits_are_pointed_out(report, alpha):
    cells = {"digits-nice": ("digits", "nice"), "digits-maf": ("digits", "maf")}
    markdown = (
        report(cells, flow={"digits-nice": {"logit": None}, "digits-maf": {"logit": alpha}}) / "README.md"
    ).read_text(encoding="utf-8")
    words = "what pixels pass first differs: no logit for nice; a logit with α = 0.05 for maf"
    assert (words in markdown) == (alpha is not None)


def test_the_truth_on_the_test_examples_stands_beside_the_flows(report):
    def change(results):
        for key, values in {
            "moons-nice": {"true_bits_per_dim": 0.21},
            "moons-realnvp": {"true_bits_per_dim": 0.2, "test_examples": 5000},
        }.items():
            with (results / key / "seeds.csv").open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([0, metric, value, ""] for metric, value in values.items())

    html = Page((report(change=change) / "index.html").read_text(encoding="utf-8"))
    assert html.row("truth, test split")[1] == "0.2100"
    assert html.row("truth, 5,000 test examples")[1] == "0.2000"


def test_pictures_say_their_seed(report):
    markdown = (report(diverged={"moons-nice": [0]}) / "README.md").read_text(encoding="utf-8")
    assert "<summary>Densities (lowest seed that finished: 0 of realnvp, gaussian; 1 of nice)</summary>" in markdown


def test_one_curve_far_above_does_not_squash_the_others():
    good = [[(0, 9.0), (10, 3.0), (20, 1.0 + i / 10)] for i in range(5)]
    low, high = _limits([*good, [(0, 1e9), (10, 1e8), (20, 1e8)]])
    assert low < 1.0
    assert 3.0 < high < 20
    assert _limits(good)[1] > 9.0, "nothing is cut off where no curve is apart"


def test_a_failure_leaves_the_old_report(report, monkeypatch):
    folder = report()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(page, "_render", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report(seeds=1)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
