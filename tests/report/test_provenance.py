"""What a report says of where its numbers come from."""

import hashlib
import json
import re
from html import unescape

from flowbench.report import page
from tests import fake_results
from tests.report.pages import CELLS, Page


def test_differing_hosts_and_versions_are_pointed_out(report):
    assert " differ**" not in (report() / "README.md").read_text(encoding="utf-8")

    def change(results):
        for name, old, new in (("train_timings", "A processor", "B processor"), ("training", "2.9.0", "2.10.0")):
            path = results / "moons-nice" / f"{name}.json"
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    markdown = (report(change=change) / "README.md").read_text(encoding="utf-8")
    assert "Host B: cpu: B processor, 2 cores, Linux (moons-nice)." in markdown
    assert "**Versions differ**: torch 2.9.0 (" in markdown
    assert "2.10.0 (moons-nice)." in markdown


def test_a_cell_that_was_measured_elsewhere_has_both_hosts(report):
    def change(results):
        path = results / "moons-nice" / "timings.json"
        path.write_text(path.read_text(encoding="utf-8").replace("A processor", "B processor"), encoding="utf-8")

    folder = report(change=change)
    assert "Host B: cpu: B processor, 2 cores, Linux (moons-nice)." in (folder / "README.md").read_text(
        encoding="utf-8"
    )
    hosts = {
        row[0]: row[-1]
        for row in Page((folder / "index.html").read_text(encoding="utf-8")).rows
        if row[-1] in ("A", "B", "A, B")
    }
    assert [name for name, where in hosts.items() if where == "A, B"] == ["moons · nice"]
    assert len(hosts) > 1


def test_every_row_of_a_cell_leads_to_where_it_comes_from(report, tmp_path):
    folder = report(digests={"moons-nice": 64 * "b"})
    html = (folder / "index.html").read_text(encoding="utf-8")
    targets = set(re.findall(r"#cell-([\w-]+)", html))
    assert targets == set(CELLS)
    assert all(html.count(f'id="cell-{key}"') == 1 for key in targets)
    row = Page(html).row("moons-nice")
    md5 = hashlib.md5((tmp_path / "results" / "moons-nice" / "metrics.json").read_bytes()).hexdigest()
    made_of = "data.moons, flows.nice.plane, budgets.tiny"
    assert row[1:] == [made_of, "dvc repro evaluate@moons-nice", md5, 12 * "b"]


def test_it_tells_what_its_cells_were_made_of_and_where(report, tmp_path):
    def change(results):
        path = results / "moons-nice" / "train_timings.json"
        path.write_text(path.read_text(encoding="utf-8").replace(40 * "a", f"{40 * 'a'}-dirty"), encoding="utf-8")

    folder = report(change=change)
    training = json.loads((tmp_path / "results" / "moons-nice" / "training.json").read_text(encoding="utf-8"))
    html, markdown = (
        Page((folder / "index.html").read_text(encoding="utf-8")).text,
        unescape((folder / "README.md").read_text(encoding="utf-8")),
    )
    for text in ("".join(html), markdown):
        assert f"{40 * 'a'}-dirty (moons-nice)" in text
        assert "Measured on: cpu: A processor, 2 cores, Linux" in text
        assert "python 3.12.1, torch 2.9.0" in text
        for split, sha in training["provenance"]["data"].items():
            assert f"{split} {sha[:12]}" in text


def test_cells_that_saw_other_data_are_pointed_out(report):
    assert "Data differ" not in (report() / "README.md").read_text(encoding="utf-8")

    def change(results):
        path = results / "moons-nice" / "training.json"
        training = json.loads(path.read_text(encoding="utf-8"))
        training["provenance"]["data"]["test"] = 64 * "d"
        path.write_text(json.dumps(training), encoding="utf-8")

    folder = report(change=change)
    html, markdown = (
        "".join(Page((folder / "index.html").read_text(encoding="utf-8")).text),
        (folder / "README.md").read_text(encoding="utf-8"),
    )
    for text in (html, unescape(markdown)):
        assert "ot all cells on moons saw the same splits, so that they cannot be compared: moons-nice; " in text
        assert f"test {12 * 'd'}" in text


def test_it_tells_what_was_survived_and_which_lock_it_belongs_to(tmp_path):
    suite = fake_results.suite(CELLS)
    fake_results.write(tmp_path / "results", suite)
    page.write(tmp_path / "results", suite, tmp_path / "report", {}, 64 * "c", {"inputs": 12345, "kills": 60})
    told = "60 kills; 12,345 hostile inputs: afterwards results were the same bytes"
    for name in ("README.md", "index.html"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert told in text
        assert 64 * "c" in text
