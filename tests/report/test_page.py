import csv
import json
import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from flowbench.metrics import METRICS
from flowbench.report import page
from tests import fake_results

CELLS = {
    "gaussian-affine": ("gaussian", "affine"),
    "moons-nice": ("moons", "nice"),
    "moons-realnvp": ("moons", "realnvp"),
    "moons-gaussian": ("moons", "gaussian"),
    "digits-maf": ("digits", "maf"),
    "two_modes-planar": ("two_modes", "planar"),
}


class Page(HTMLParser):
    """The text of an HTML page by table row, its elements, and every address in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.rows, self.text, self.in_cell = set(), [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        self.text.append(data)
        if self.in_cell:
            self.rows[-1][-1] += data

    def row(self, name):
        return next(row for row in self.rows if row and row[0].startswith(name))


@pytest.fixture
def report(tmp_path):
    """A function that writes a report of made-up results, and returns its folder."""

    def write(cells=CELLS, about=None, change=lambda results: None, **options):
        suite = fake_results.suite(cells)
        suite = suite.model_copy(update={"about": about}) if about else suite
        fake_results.write(tmp_path / "results", suite, **options)
        change(tmp_path / "results")
        page.write(tmp_path / "results", suite, tmp_path / "report")
        return tmp_path / "report"

    return write


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


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
            json.loads((folder / f"{name}.json").read_text()) for name in ("training", "train_timings", "timings")
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
    html = Page((folder / "index.html").read_text())
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in html.addresses)
    assert not html.tags & {"script", "link", "iframe"}
    links = re.findall(r"!\[[^\]]*\]\((.*?)\)", (folder / "README.md").read_text())
    assert {unquote(link) for link in links} == {f"figures/{path.name}" for path in (folder / "figures").iterdir()}
    assert len(links) == len(set(links)) == 2 * len({data for data, _ in CELLS.values()}) + len(CELLS)


def test_both_pages_show_the_same_numbers(report):
    folder = report()
    html = Page((folder / "index.html").read_text())
    markdown = unescape((folder / "README.md").read_text())
    numbers = [cell for row in html.rows for cell in row if "±" in cell]
    assert len(numbers) > 30
    assert all(number in markdown for number in numbers)


def test_what_is_no_flow_or_no_result_is_marked(report):
    diverged = {"moons-nice": [1], "moons-realnvp": [0, 1, 2], "digits-maf": [0, 1, 2]}
    folder = report(diverged=diverged)
    html = Page((folder / "index.html").read_text())
    assert html.row("nice")[0] == "nice 1 of 3 diverged"
    assert html.row("gaussian baseline")
    assert html.row("realnvp")[:3] == ["realnvp 3 of 3 diverged", "exact", "–"]
    assert html.row("maf")[:2] == ["maf 3 of 3 diverged", "exact"]
    assert "nice (1 of 3 diverged)" in (folder / "README.md").read_text()
    lost = [row for row in read(folder / "results.csv") if row["metric"] == "diverged_at"]
    assert {(row["cell"], int(row["seed"])) for row in lost} == {
        (key, seed) for key in diverged for seed in diverged[key]
    }


def test_one_seed_has_no_interval_and_no_winner(report):
    folder = report(seeds=1)
    html = Page((folder / "index.html").read_text())
    assert html.row("nice")[2].endswith("(n = 1)")
    assert not any("±" in cell for row in html.rows for cell in row)
    assert "**0" not in (folder / "README.md").read_text()


def test_the_floor_and_the_true_moments_stand_beside_the_learnt(report):
    html = Page((report() / "index.html").read_text())
    assert html.row("entropy floor")[2:4] == ["1.8400", "0"]
    assert html.row("mean of x1")[1] == "2.00"
    assert html.row("mean of x1")[2].startswith(("1.9", "2.0"))


def test_names_are_text_and_never_markup(report):
    key = "moons-nice<img src=x>|*&"
    folder = report(cells={key: ("moons", "nice")}, about="<script>alert(1)</script> & *so* on")
    html = Page((folder / "index.html").read_text())
    assert "script" not in html.tags
    assert "<script>alert(1)</script> & *so* on." in html.text
    assert html.row("nice<img")[0] == key.removeprefix("moons-")
    markdown = (folder / "README.md").read_text()
    assert not re.search(r"<(?!/?details>|/?summary>)", markdown)
    assert "&#42;so&#42;" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| nice")]
    assert rows
    assert {line.count("|") for line in rows[:1]} == {
        next(m.count("|") for m in markdown.splitlines() if m.startswith("| flow"))
    }


def test_differing_hosts_and_versions_are_pointed_out(report):
    assert "differ" not in (report() / "README.md").read_text()

    def change(results):
        for name, old, new in (("train_timings", "A processor", "B processor"), ("training", "2.9.0", "2.10.0")):
            path = results / "moons-nice" / f"{name}.json"
            path.write_text(path.read_text().replace(old, new))

    markdown = (report(change=change) / "README.md").read_text()
    assert "Host B: cpu: B processor, 2 cores, Linux (moons-nice)." in markdown
    assert "**Versions differ**: torch 2.9.0 (" in markdown
    assert "2.10.0 (moons-nice)." in markdown


def test_a_failure_leaves_the_old_report(report, monkeypatch):
    folder = report()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(page, "_render", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report(seeds=1)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
