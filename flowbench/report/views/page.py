"""A suite's report: a table of all values, a Markdown page, a self-contained HTML page, figures."""

from __future__ import annotations

import base64
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flowbench.config import Suite
from flowbench.plotting.canvas import DPI
from flowbench.report.frame import Cell, load, tidy, write_csv
from flowbench.report.judgement.certification import verdicts
from flowbench.report.judgement.estimates import Estimates
from flowbench.report.judgement.ranking import Ranking, flow_ranking
from flowbench.report.judgement.verdict import verdicts as verdicts_of
from flowbench.report.views import correctness, figures, numbers, origin, tables
from flowbench.report.views.layout import Row, Scope, Table, Value, by_fact
from flowbench.report.views.text import data_sets, meanings, render, say
from flowbench.runtime.files import whole

# The kinds of pictures in the order of the page; another kind comes after them under its own name.
PICTURES = {
    "density": "Densities",
    "training": "While training",
    "samples": "Samples",
    "reconstructions": "Reconstructions",
    "interpolation": "Interpolations",
}


@dataclass(frozen=True)
class Picture:
    """A file under ``figures/`` with what it shows."""

    path: Path
    caption: str

    @property
    def link(self) -> str:
        """Its address relative to the page."""
        return f"figures/{quote(self.path.name)}"

    @property
    def width(self) -> int:
        """How wide it is meant to be shown, in CSS pixels of 1/96 inch."""
        with self.path.open("rb") as file:
            pixels = int.from_bytes(file.read(20)[16:], "big")
        return round(pixels * 96 / DPI)

    @property
    def inline(self) -> str:
        """Itself as an address, for a page that stands alone."""
        return f"data:image/png;base64,{base64.b64encode(self.path.read_bytes()).decode()}"


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind, one for each cell that has it."""

    title: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Section:
    """All that is said of one data set: what it is, what the numbers say, and the numbers."""

    data: str
    about: str
    summary: str
    tables: list[Table]
    figures: list[Picture]
    galleries: list[Gallery]


def write(
    results: Path, suite: Suite, folder: Path, *, digests: Mapping[str, str], lock: str, survived: Mapping[str, int]
) -> None:
    """Write the report of a suite to ``folder``; see `flowbench.report.write` for the arguments."""
    cells = load(results, suite, digests)
    frame = tidy(suite.name, cells)
    scope = Scope(cells, frame, Estimates(frame), verdicts(frame))
    with whole(folder) as scratch:
        write_csv(scratch / "results.csv", frame)
        drawn = scratch / "figures"
        drawn.mkdir()
        facts = _facts(suite, scope, drawn) | {"lock": lock, "survived": say("survived", counts=survived)}
        for template, page in (("page.md.jinja", "README.md"), ("page.html.jinja", "index.html")):
            (scratch / page).write_text(render(template, facts), encoding="utf-8")


def _facts(suite: Suite, scope: Scope, folder: Path) -> dict[str, Any]:
    """What the templates lay out."""
    cells = scope.cells
    sections = [
        _section(scope.only(lambda cell, data=data: cell.data == data), folder)  # type: ignore[misc]
        for data in dict.fromkeys(cell.data for cell in cells)
    ]
    hosts = origin.hosts(cells)
    costs, certificates = tables.costs(scope, hosts), correctness.correctness(scope)
    ranking = flow_ranking(scope.frame, verdicts_of(scope.frame, cells, scope.verdicts))
    ranks = _ranks(ranking) if ranking else None
    shown = [table for section in sections for table in section.tables]
    shown += [*certificates, costs, *([ranks] if ranks else [])]
    missing = suite.cells.keys() - {cell.key for cell in cells}
    return origin.facts(cells) | {
        "suite": suite,
        "missing": [key for key in suite.cells if key in missing],
        "failures": _failures(cells),
        "budgets": _budgets(cells),
        "seeds": sorted({len(cell.seeds) for cell in cells}),
        "sections": sections,
        "ranks": ranks,
        "ranks_figure": _ranks_figure(ranking, folder) if ranking and ranking.apart else None,
        "certification": correctness.certification(scope),
        "certificates": certificates,
        "costs": costs,
        "hosts": {
            letter: (host, origin.names_of([cell for cell in cells if host in cell.hosts], cells))
            for host, letter in hosts.items()
        },
        "definitions": tables.glossary(scope, shown),
    }


def _section(scope: Scope, folder: Path) -> Section:
    """Draw the figures of one data set, and gather the pictures of its cells."""
    data = scope.cells[0].data
    drawn = _drawn(data, scope, folder)
    return Section(
        data, data_sets().get(data, ""), summary(scope), tables.of_data(scope), drawn, _galleries(scope.cells, folder)
    )


def summary(scope: Scope) -> str:
    """Which flow leads, how far above the truth, and where the best baseline stands; empty if there are no values."""
    found = scope.verdict
    by_key = {cell.key: cell for cell in scope.cells}
    unit, known = say("unit", metric=found.metric), tables.known_bits(scope)
    sentences = []

    def value(key: str) -> str:
        return f"{scope.written(by_key[key], found.metric)} {unit}"

    if found.best:
        cell = by_key[found.best]
        inexact = {"bound": "a bound", "estimate": "an estimate"}.get(cell.likelihood, "")
        remarks = ", ".join(filter(None, [inexact, scope.note(cell)]))
        above = scope.estimates.above_truth(cell.key) if known and found.metric == "bits_per_dim" else None
        sentences.append(
            say(
                "leading_flow",
                chip=found.chip,
                name=f"{cell.label} ({remarks})" if remarks else cell.label,
                tied=scope.labels(found.tied),
                value=value(found.best),
                above=numbers.spread(above, count=False) if above else "",
            )
        )
    elif any(not cell.baseline and cell.likelihood != "none" for cell in scope.cells):
        sentences.append(say("no_flow", metric=found.metric))
    baselines = {key: gap for key, gap in found.gaps.items() if by_key[key].baseline}
    if baselines:
        best, gap = min(baselines.items(), key=lambda pair: pair[1].value)
        lower, name = gap.value < 0, by_key[best].label
        sentences.append(say("leading_baseline", name=name, value=value(best), lower=lower, apart=gap.told_apart))
    for why in dict.fromkeys(found.excluded.values()):
        names = scope.labels([key for key, of in found.excluded.items() if of == why])
        sentences.append(say("excluded", names=names, why=why))
    if scope.several_budgets:
        sentences.append(say("different_budgets"))
    return " ".join(sentences)


def _drawn(data: str, scope: Scope, folder: Path) -> list[Picture]:
    """How the cells learnt, and what their quality costs, which takes more than one to compare."""
    styles = figures.looks(cell.label for cell in scope.cells)
    drawn = []
    for flow in ("", *figures.OBJECTIVES):
        alike = scope.only(
            lambda cell, flow=flow: (
                bool(cell.record.training.history)  # type: ignore[misc]
                and flow == (cell.flow if cell.flow in figures.OBJECTIVES else "")
            )
        )
        if not alike.cells:
            continue
        path = folder / (f"training-{data}-{flow}.png" if flow else f"training-{data}.png")
        cut = figures.training_curves(path, alike, styles)
        lost = any(cell.diverged or cell.failed for cell in alike.cells)
        apart = bool(flow) and len(alike.cells) > 1
        drawn.append(Picture(path, say("training_figure", data=data, flow=flow, lost=lost, cut=cut, apart=apart)))
    continuous = scope.having("energy_distance_adaptive")
    if continuous.cells:
        path = folder / f"evaluations-{data}.png"
        figures.quality_against_evaluations(path, continuous, styles)
        drawn.append(Picture(path, say("evaluations_figure", data=data, bands=not continuous.single)))
    if len(scope.cells) > 1:
        path = folder / f"cost-{data}.png"
        hollow = figures.quality_against_cost(path, scope, styles)
        drawn.append(Picture(path, say("cost_figure", data=data, bars=not scope.single, hollow=hollow)))
    return drawn


def _ranks(ranking: Ranking) -> Table:
    """The flows that stand on several data sets, by their mean rank."""
    caption = say(
        "ranks",
        critical=f"{ranking.critical_difference:.2f}",
        conclusive=ranking.conclusive,
        apart=ranking.apart,
        data_sets=len(ranking.ranks),
        flows=len(ranking.means),
    )
    titles = {"mean rank": meanings()["mean rank"]}
    table = Table(caption, [*map(str, ranking.ranks.index), "mean rank"], first="flow", titles=titles)
    for name, mean in ranking.means.items():
        entries = [f"{rank:g}" for rank in ranking.ranks[name]]
        table.rows.append(Row(name, [Value(text) for text in [*entries, f"{mean:.2f}"]]))
    return table


def _ranks_figure(ranking: Ranking, folder: Path) -> Picture:
    picture = Picture(folder / "ranks.png", say("ranks_figure"))
    figures.mean_ranks(picture.path, ranking, figures.looks(ranking.means))
    return picture


def _galleries(cells: Sequence[Cell], folder: Path) -> list[Gallery]:
    """The cells' pictures, those of one kind together, copied to ``folder``."""
    pictures = {cell.key: cell.record.pictures for cell in cells}
    names = {name for of_cell in pictures.values() for name in of_cell}
    galleries = []
    for name in sorted(names, key=lambda name: (name not in PICTURES, [*PICTURES, name].index(name), name)):
        words = name.replace("_", " ")
        shown = [cell for cell in cells if name in pictures[cell.key]]
        first = name == "training"
        of_first, of_finished = (lambda cell: cell.seeds[0]), (lambda cell: min(cell.record.training.finished))
        seeds = dict(sorted(by_fact(shown, of_first if first else of_finished).items()))
        copies = [Picture(folder / f"{cell.key}-{name}.png", f"{cell.label}: {words}") for cell in shown]
        for cell, copy in zip(shown, copies, strict=True):
            shutil.copyfile(pictures[cell.key][name], copy.path)
        title = PICTURES.get(name, words.capitalize())
        galleries.append(Gallery(say("gallery", title=title, first=first, seeds=seeds), copies))
    return galleries


def _failures(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Which seeds of which cells diverged, failed or were measured in part, and why."""
    failures = []
    for cell in cells:
        options = {"budget": cell.params["cell"]["budget"], "clipped": bool(cell.params["budget"].get("clip_norm"))}
        diverged = {seed: say("diverged", step=step, **options) for seed, step in cell.diverged.items()}
        lost = {"diverged": diverged, "failed": cell.failed, "measured in part": cell.not_measured}
        for what, reasons in lost.items():
            seeds: dict[str, list[int]] = defaultdict(list)
            for seed, reason in sorted(reasons.items()):
                seeds[reason].append(seed)
            failures += [(say("lost", cell=cell.key, seeds=same, what=what), why) for why, same in seeds.items()]
    return failures


def _budgets(cells: Sequence[Cell]) -> list[str]:
    """Each budget in words, with the data sets it was spent on; a baseline has no steps to spend."""
    spent: dict[tuple, list[str]] = defaultdict(list)
    for data in dict.fromkeys(cell.data for cell in cells):
        trained = [cell for cell in cells if cell.data == data and not cell.baseline]
        if trained:
            budgets = tuple(dict.fromkeys(tables.budget_in_words(cell) for cell in trained))
            # Where there are several, the table of the data set shows them.
            seeds = len(trained[0].seeds) if len(budgets) == 1 else 0
            spent[budgets if len(budgets) == 1 else ("", ""), seeds].append(data)
    return [say("budgets", data=data, budgets=budgets, seeds=seeds) for (budgets, seeds), data in spent.items()]
