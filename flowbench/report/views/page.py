"""A suite's report: a table of all values, a Markdown page, an HTML page, figures."""

from __future__ import annotations

import base64
import os
import re
import types
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd

from flowbench.config import Suite
from flowbench.metrics import METRICS
from flowbench.records.tuning import Trial
from flowbench.report.frame import CellResult, load, tidy, write_csv
from flowbench.report.judgement.answers import MARGIN
from flowbench.report.judgement.certification import certificates
from flowbench.report.judgement.estimates import Estimates
from flowbench.report.judgement.ranking import Ranking, flow_ranking
from flowbench.report.judgement.simultaneous import LEVEL
from flowbench.report.views import cards, charts, correctness, origin, papers, pictures, tables, top, tuning
from flowbench.report.views.changes import changes
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Entry, Table
from flowbench.report.views.text import render, say, words
from flowbench.runtime.files import whole

# The values that a report shows, and those of the last report that had others.
RESULTS, PREVIOUS = "results.csv", "previous.csv"
# What stands by hand below the title of a report that cannot be made again.
OF_EARLIER_VERSION = "This report was made by an earlier version of flowbench"
PAGES = {"README.md": "page.md.jinja", "index.html": "page.html.jinja"}
TEMPLATES = Path(__file__).parent / "templates"


def write(
    results: Path,
    suite: Suite,
    folder: Path,
    *,
    digests: Mapping[str, str],
    lock: str,
    survived: Mapping[str, int],
    earlier: Sequence[str] = (),
    runs: Mapping[str, str] = types.MappingProxyType({}),
    own: Path | None = None,
    trials: Sequence[Trial] = (),
) -> dict[str, list[str]]:
    """Write the report of a suite to ``folder``: two pages, ``results.csv``, ``previous.csv`` and ``figures/``.

    All of it is written, or none. The pages tell the changes since ``previous.csv``. The same results give the same
    bytes before and after they are committed, and in a clone without history.

    Args:
        results: holds the files of each cell in ``<cell>/``; cells that are not there are named as not run.
        suite: whose report it is.
        folder: where it goes. The HTML page draws with the scripts of ``../assets/``, and shows pictures without them.
        digests: the tags of the cells' MLflow runs, by cell.
        lock: the digest of what ``dvc.lock`` says of the suite; empty if unknown.
        survived: how many faults of each kind the tests have caused.
        earlier: ``results.csv`` and ``previous.csv`` of the report that is committed. The first that differs from the
            results now becomes ``previous.csv``.
        runs: the addresses of the cells' runs in MLflow, by cell.
        own: where the HTML page goes once more, with links to the runs. It is no part of the report, since the same
            results have other runs in another store.

    Returns:
        Why cells fail certification, by their keys.

    Raises:
        RecordError: a file of a cell is missing or damaged.
    """
    cells = load(results, suite, digests)
    frame = tidy(suite.name, cells)
    scope = Scope(cells, frame, Estimates(frame), certificates(frame))
    with whole(folder) as scratch:
        write_csv(scratch / RESULTS, frame)
        now = (scratch / RESULTS).read_text(encoding="utf-8")
        if before := next((text for text in earlier if text != now), ""):
            (scratch / PREVIOUS).write_text(before, encoding="utf-8")
        drawn = scratch / "figures"
        drawn.mkdir()
        facts = _facts(suite, scope, drawn, trials) | {
            "lock": lock,
            "survived": say("survived", counts=survived),
            "changes": changes(scope, before),
            "here": "",
            "runs": {},
        }
        for page, template in PAGES.items():
            (scratch / page).write_text(render(template, facts), encoding="utf-8")
        if own:
            here = f"{quote(os.path.relpath(folder, own.parent))}/"
            own.write_text(render(PAGES["index.html"], facts | {"here": here, "runs": runs}), encoding="utf-8")
    return correctness.refusals(scope)


def _facts(suite: Suite, scope: Scope, folder: Path, trials: Sequence[Trial]) -> dict[str, Any]:
    """What the templates lay out."""
    cells = scope.cells
    of_cells = {cell.key: pictures.of_cell(scope, cell, folder) for cell in cells}
    sections = [_section(of_data, folder, trials) for of_data in scope.by_data.values()]
    costs, certificates = tables.costs(scope, origin.hosts(cells)), correctness.correctness(scope)
    ranking = flow_ranking(scope.frame, {data: of.verdict() for data, of in scope.by_data.items()})
    about_flows = cards.cards(scope, of_cells)
    shown = [table for section in sections for table in [section["table"], *section["folded"]]]
    return origin.facts(cells) | {
        "suite": suite,
        "scope": scope,
        "headline": origin.headline(cells) if cells else [],
        "learning": top.learning(scope),
        "ties": say("ties", level=LEVEL),
        "questions": top.QUESTIONS,
        "answers": top.three_answers(scope),
        "margin": MARGIN,
        "heat": top.heat(suite, scope),
        "leading": top.leading(scope),
        "missing": [key for key in suite.cells if key not in scope.by_key],
        "failures": _failures(cells),
        "uncertified": correctness.refusals(scope),
        "sections": sections,
        "not_run": _not_run(suite, scope),
        "pictures": of_cells,
        "made": {cell.key: origin.of_cell(scope.by_data[cell.data], cell, suite) for cell in cells},
        "cards": about_flows,
        "variants": {label: known for card in about_flows for label, known in card["labels"].items()},
        "differ": cards.differ(scope) if cells else None,
        "ranks": _ranks(ranking) if ranking else None,
        "certification": correctness.certification(scope),
        "certificates": certificates,
        "costs": costs,
        "corrections": [one["what"] for one in words("corrections") if suite.name in one["suites"]],
        "terms": tables.terms(),
        "definitions": tables.glossary(scope, [*shown, *certificates, costs]),
    }


def _section(scope: Scope, folder: Path, trials: Sequence[Trial]) -> dict[str, Any]:
    """All that is shown of one data set."""
    data = scope.cells[0].data
    drawn = charts.charts(scope, folder)
    return {
        "data": data,
        "size": len(scope.cells),
        "images": any("samples" in cell.record.pictures for cell in scope.cells),
        "about": words("words")["data_sets"].get(data, ""),
        "verdict": _verdict(scope),
        "strip": pictures.strip(scope, folder),
        "table": tables.quality(scope),
        "remarks": tables.remarks(scope),
        "folded": [*tables.folded(scope), *papers.tables(scope), *tuning.tables(scope, trials)],
        "learnt": top.learnt(scope),
        "charts": drawn,
        "speed": next((chart for chart in drawn if chart["kind"] == "tradeoff"), None),
        "cells": scope.cells,
    }


def _not_run(suite: Suite, scope: Scope) -> list[dict[str, Any]]:
    """The data sets of which no cell was run, with what papers report of them."""
    names = [data for data in dict.fromkeys(cell.data for cell in suite.cells.values()) if data not in scope.by_data]
    return [
        {
            "data": name,
            "about": words("words")["data_sets"].get(name, ""),
            "tables": papers.not_run(name, {cell.flow for cell in suite.cells.values() if cell.data == name}),
        }
        for name in names
    ]


def _verdict(scope: Scope) -> str:
    """One sentence on who leads."""
    found = scope.verdict()
    return say(
        "verdict",
        found=found,
        scope=scope,
        unit=METRICS[found.metric].said,
        baselines=scope.better_baselines,
        better=scope.labels(key for key in scope.ahead() if key in found.excluded),
    )


def _ranks(ranking: Ranking) -> Table:
    """The flows that stand on several data sets, by their mean rank."""
    rows = [
        [Entry(f"{mean:.2f}", mean), *(Entry(f"{rank:g}", rank) for rank in ranking.ranks[name])]
        for name, mean in ranking.means.items()
    ]
    frame = pd.DataFrame(rows, columns=["mean rank", *ranking.ranks.index], index=list(ranking.means), dtype=object)
    return Table(say("ranks", ranking=ranking), frame)


def _failures(cells: Sequence[CellResult]) -> list[tuple[str, str]]:
    """Which seeds of which cells diverged, failed or were measured in part, and why."""
    failures = []
    for cell in cells:
        diverged = {seed: say("diverged", step=step, cell=cell) for seed, step in cell.diverged.items()}
        lost = {"diverged": diverged, "failed": cell.failed, "measured in part": cell.not_measured}
        for what, reasons in lost.items():
            seeds: dict[str, list[int]] = defaultdict(list)
            for seed, reason in sorted(reasons.items()):
                seeds[reason].append(seed)
            failures += [(say("lost", cell=cell.key, seeds=same, what=what), why) for why, same in seeds.items()]
    return failures


def single_file(folder: Path) -> str:
    """The HTML page of the report in ``folder`` with its figures and scripts in it, to be sent or kept alone."""
    page = (folder / "index.html").read_text(encoding="utf-8")

    def picture(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / unquote(match[2])).read_bytes()).decode()
        return f'{match[1]}="data:image/png;base64,{data}"'

    def script(match: re.Match[str]) -> str:
        text = (folder / match[1]).read_text(encoding="utf-8").replace("</script", "<\\/script")
        return f"<script>{text}</script>"

    page = re.sub(r'(src|srcset)="(figures/[^"]+)"', picture, page)
    return re.sub(r'<script src="([^"]+)" (?:async|defer)></script>', script, page)


def write_index(reports: Path, suites: Mapping[str, str]) -> None:
    """Write ``README.md`` and ``index.html`` in ``reports``, which link the reports of suites.

    Args:
        suites: what each is about, by its name; those without a report are left out.
    """
    found = {name: about for name, about in suites.items() if (reports / name / RESULTS).is_file()}
    texts = {name: (reports / name / "README.md").read_text(encoding="utf-8") for name in found}
    facts = {"suites": found, "of_earlier_version": [name for name in found if OF_EARLIER_VERSION in texts[name]]}
    for page, template in (("README.md", "index.md.jinja"), ("index.html", "index.html.jinja")):
        (reports / page).write_text(render(template, facts), encoding="utf-8")
