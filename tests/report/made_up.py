"""What the tests of reports share: made-up frames and cells, and how a page and a table of values are read."""

import csv
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from flowbench.report.frame import load, tidy
from flowbench.report.judgement.certification import certificates
from flowbench.report.judgement.estimates import Estimates
from flowbench.report.views import page
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Table
from tests import fake_results

ROOT = Path(__file__).parents[2]
MOONS = {f"moons-{flow}": ("moons", flow) for flow in ("nice", "realnvp", "maf", "gaussian")}
FAMILIES = {
    "digits-maf": ("digits", "maf"),
    "digits-cnf": ("digits", "cnf"),
    "digits-flow_matching": ("digits", "flow_matching"),
    "digits-flow_autoencoder": ("digits", "flow_autoencoder"),
    "digits-flow_autoencoder-reconstruction": ("digits", "flow_autoencoder"),
    "digits-iaf_distilled": ("digits", "iaf_distilled"),
}
OPTIONS = {
    "digits-flow_matching": {"probes": 10},
    "digits-flow_autoencoder": {"flow_learns_by": "likelihood"},
    "digits-flow_autoencoder-reconstruction": {"flow_learns_by": "reconstruction"},
}


def frame(cells: Mapping[str, Mapping[str, Any]], *, baselines=(), n: Mapping[str, int] | None = None, data="moons"):
    """Cells by their labels, each with values by metric and seed; ``n`` examples each, of which there are 1,000."""
    rows = [
        ("tiny", label, data, label, "baseline" if label in baselines else "flow", "cpu", seed, metric, value, 1000)
        for label, of_cell in cells.items()
        for metric, values in of_cell.items()
        for seed, value in enumerate(values)
    ]
    about = ["suite", "cell", "data", "label", "kind", "device", "seed", "metric", "value", "n"]
    table = pd.DataFrame(rows, columns=about)
    for label, examples in (n or {}).items():
        table.loc[table["cell"] == label, "n"] = examples
    return table.assign(lost=False)


def scope(folder: Path, cells: dict[str, tuple[str, str]], seeds: int = 3, **by_cell) -> Scope:
    """Cells of a suite, written and read again."""
    suite = fake_results.suite(cells)
    fake_results.write(folder, suite, seeds=seeds, **by_cell)
    found = load(folder, suite, {})
    of_all = tidy(suite.name, found)
    return Scope(found, of_all, Estimates(of_all), certificates(of_all))


def entries(table: Table) -> dict[str, dict[str, str]]:
    """The texts of a table by row, which is named by its cell's key, and column."""
    return {
        key: {head: entry.text for head, entry in zip(table.frame.columns, row, strict=True)}
        for key, row in zip(table.frame.index, table.frame.to_numpy().tolist(), strict=True)
    }


class Page(HTMLParser):
    """The text of an HTML page by table row, its elements, and every address in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.rows, self.pieces, self.in_cell = set(), [], [], [], False
        self.feed(text)
        self.text = "".join(self.pieces)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell, self.title = True, dict(attributes).get("title")

    def handle_endtag(self, tag):
        self.in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        self.pieces.append(data)
        if self.in_cell:
            self.rows[-1][-1] += data
            if self.title:
                self.titles.setdefault(data, self.title)  # float32 comes first

    def row(self, name):
        return next(row for row in self.rows if row and row[0].startswith(name))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def written(folder, suite, lock="", survived=None, digests=None, earlier=(), **options):
    """The report of made-up results, as `reported` has it."""
    fake_results.write(folder / "results", suite, **options)
    return reported(folder, suite, lock, survived, digests, earlier)


def reported(folder, suite, lock="", survived=None, digests=None, earlier=()):
    """The report of the results in ``folder/results``, as it is, and as the text of both pages."""
    target = folder / "report"
    options = {"digests": digests or {}, "lock": lock, "survived": survived or {}, "earlier": earlier}
    refused = page.write(folder / "results", suite, target, **options)
    html = (target / "index.html").read_text(encoding="utf-8")
    markdown = (target / "README.md").read_text(encoding="utf-8")
    parsed = Page(html)
    both = (parsed.text.replace("\xa0", " "), re.sub(r"\\(.)", r"\1", markdown))
    return SimpleNamespace(
        folder=target,
        raw=html,
        html=parsed,
        markdown=markdown,
        both=both,
        results=folder / "results",
        refused=refused,
    )
