"""A suite's report: a table of all values, a Markdown page, a self-contained HTML page, figures."""

from __future__ import annotations

import base64
import csv
import html
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flowbench.config import Suite
from flowbench.metrics import METRICS
from flowbench.plotting.canvas import DPI
from flowbench.report import comparisons, figures, tables
from flowbench.report.cells import CellResult, load
from flowbench.report.correctness import correctness
from flowbench.report.datasets import ABOUT
from flowbench.report.families import families
from flowbench.report.layout import Table, single
from flowbench.report.settings import settings
from flowbench.report.summary import summary
from flowbench.report.verdicts import certification
from flowbench.runtime.files import whole

# The kinds of pictures in the order of the page; another kind comes after them under its own name.
PICTURES = {
    "density": "Densities",
    "training": "While training",
    "samples": "Samples",
    "reconstructions": "Reconstructions",
    "interpolation": "Interpolations",
}
COLUMNS = ("suite", "cell", "dataset", "flow", "seed", "metric", "value", "unit", "device")


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
        pixels = int.from_bytes(self.path.read_bytes()[16:20], "big")
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
    results: Path,
    suite: Suite,
    folder: Path,
    digests: Mapping[str, str] | None = None,
    lock: str = "",
    survived: Mapping[str, int] | None = None,
) -> None:
    """Write the report of a suite's cells, found in ``results/<cell>``, to ``folder``; whole, or not at all.

    Args:
        results: cells that are not there are named as not run.
        suite: whose report it is.
        folder: where it goes.
        digests: the tags of the cells' MLflow runs.
        lock: the digest of what ``dvc.lock`` says of the suite.
        survived: how many of which faults the tests have caused.
    """
    digest = (digests or {}).get
    cells = [load(results / key, suite.name, digest(key, "")) for key in suite.all_cells if (results / key).is_dir()]
    with whole(folder) as scratch:
        write_values(scratch / "results.csv", suite.name, cells)
        (scratch / "figures").mkdir()
        sections = [
            _section(data, of_data, scratch / "figures")
            for data in suite.data
            if (of_data := [cell for cell in cells if cell.data == data])
        ]
        facts = _facts(suite, cells, sections, _ranks(cells, scratch / "figures"))
        facts |= {"lock": lock, "survived": _survived(survived or {})}
        for template, page in (("page.md.jinja", "README.md"), ("page.html.jinja", "index.html")):
            (scratch / page).write_text(_render(template, facts), encoding="utf-8")


def write_values(path: Path, suite: str, cells: Sequence[CellResult]) -> None:
    """Every measured value, one a row; for a lost seed the step at which it was lost."""
    rows = []
    for cell in cells:
        about = (suite, cell.key, cell.data, cell.label)
        for metric, values in cell.values.items():
            rows += [
                (*about, seed, metric, repr(value), METRICS[metric].unit, cell.device) for seed, value in values.items()
            ]
        rows += [(*about, seed, "diverged_at", repr(step), "step", cell.device) for seed, step in cell.diverged.items()]
        failed_at = {seed: cell.training["seeds"][str(seed)]["steps"] for seed in cell.failed}
        rows += [(*about, seed, "failed_at", repr(step), "step", cell.device) for seed, step in failed_at.items()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(rows))


def _section(data: str, cells: list[CellResult], folder: Path) -> Section:
    """Draw the figures of one data set, and gather the pictures of its cells."""
    shown = [tables.quality(cells), *comparisons.differences(cells), *comparisons.noise(cells), *families(cells)]
    shown += [*tables.published(cells), *tables.moments(cells)]
    drawn = _curves(data, cells, folder)
    short = summary(cells)
    if len({cell.budget for cell in cells if not cell.baseline}) > 1:
        short += " The flows had different budgets."
    return Section(data, ABOUT.get(data, ""), short, shown, drawn, _galleries(cells, folder))


def _curves(data: str, cells: list[CellResult], folder: Path) -> list[Picture]:
    """How the cells learnt, and what their quality costs, which takes more than one to compare."""
    styles = figures.looks(cell.label for cell in cells)
    drawn = []
    for flow in ("", *figures.OBJECTIVES):
        alike = [cell for cell in cells if cell.history and _objective(cell) == flow]
        if not alike:
            continue
        crosses = "; × where a seed was lost" if any(cell.diverged or cell.failed for cell in alike) else ""
        caption = f"{data}: training{flow and f' of {flow}'}, one line per seed{crosses}"
        name = f"training-{data}{flow and f'-{flow}'}.png"
        cut = figures.training_curves(folder / name, alike, styles)
        caption += "; losses far above the others are cut off" * cut
        if flow and len({cell.label for cell in alike}) > 1:
            caption += "; their objectives differ, and so do the axes"
        drawn.append(Picture(folder / name, caption))
    if continuous := [cell for cell in cells if "energy_distance_adaptive" in cell.values]:
        band = "; bands reach from the best seed to the worst" if not single(continuous) else ""
        caption = (
            f"{data}: quality against evaluations of the field; large markers: the adaptive solver; dashed: other test "
            f"data, as many, on average, which only chance beats{band}"
        )
        drawn.append(Picture(folder / f"evaluations-{data}.png", caption))
        figures.quality_against_evaluations(drawn[-1].path, continuous, styles)
    if len(cells) == 1:
        return drawn
    path = folder / f"cost-{data}.png"
    caption = f"{data}: quality against cost; a grey line joins those that no other beats in both"
    if not single(cells):
        caption += "; bars are 95 % intervals, cut off where they leave the axes"
    if figures.quality_against_cost(path, cells, styles):
        caption += "; hollow: measured on fewer test examples, and not compared"
    drawn.append(Picture(path, caption))
    return drawn


def _ranks(cells: list[CellResult], folder: Path) -> dict[str, Any]:
    """The ranks over data sets, with a figure where they tell flows apart."""
    found = comparisons.ranks(cells)
    if found is None:
        return {"ranks": None, "ranks_figure": None}
    ranking, table = found
    if not ranking.apart:
        return {"ranks": table, "ranks_figure": None}
    caption = "Mean ranks; flows whose bars overlap are not told apart"
    picture = Picture(folder / "ranks.png", caption)
    figures.mean_ranks(picture.path, ranking, figures.looks(ranking.means))
    return {"ranks": table, "ranks_figure": picture}


def _objective(cell: CellResult) -> str:
    """The flow, if what it minimises is not -log p of the data."""
    flow = cell.params["cell"]["flow"]
    return flow if flow in figures.OBJECTIVES else ""


def _galleries(cells: list[CellResult], folder: Path) -> list[Gallery]:
    """The cells' pictures, those of one kind together, copied to ``folder``."""
    names = {name for cell in cells for name in cell.pictures}
    galleries = []
    for name in sorted(names, key=lambda name: (name not in PICTURES, [*PICTURES, name].index(name), name)):
        shown = [cell for cell in cells if name in cell.pictures]
        gallery = Gallery(f"{PICTURES.get(name, _words(name))} ({_seeds(name, shown)})", [])
        for cell in shown:
            picture = Picture(folder / f"{cell.key}-{name}.png", f"{cell.label}: {_words(name).lower()}")
            shutil.copyfile(cell.pictures[name], picture.path)
            gallery.pictures.append(picture)
        galleries.append(gallery)
    return galleries


def _seeds(name: str, cells: list[CellResult]) -> str:
    """Of which seed the pictures are: the lowest that finished, or while training the first."""
    which = "first seed" if name == "training" else "lowest seed that finished"
    labels: dict[int, list[str]] = defaultdict(list)
    for cell in cells:
        labels[cell.params["budget"]["seeds"][0] if name == "training" else min(cell.finished_seeds)].append(cell.label)
    if len(labels) == 1:
        return f"{which}: {next(iter(labels))}"
    return f"{which}: " + "; ".join(f"{seed} of {', '.join(of_seed)}" for seed, of_seed in sorted(labels.items()))


def _facts(suite: Suite, cells: list[CellResult], sections: list[Section], ranks: dict[str, Any]) -> dict[str, Any]:
    """What the templates lay out."""
    hosts = {host: chr(ord("A") + i) for i, host in enumerate(sorted({host for cell in cells for host in cell.hosts}))}
    certificates, costs = correctness(cells), tables.costs(cells, hosts)
    shown = [*(table for section in sections for table in section.tables), *certificates, costs]
    shown += [ranks["ranks"]] if ranks["ranks"] else []
    return ranks | {
        "suite": suite,
        "missing": [key for key in suite.all_cells if key not in {cell.key for cell in cells}],
        "failures": _failures(cells),
        "budgets": _budgets(cells),
        "seeds": sorted({len(cell.training["seeds"]) for cell in cells}),
        "sections": sections,
        "certification": certification(cells),
        "certificates": certificates,
        "costs": costs,
        "hosts": {
            letter: (host, _names([c for c in cells if host in c.hosts], cells)) for host, letter in hosts.items()
        },
        "definitions": tables.glossary(cells, shown, comparisons.ABOUT),
        "versions": _versions(cells),
        "commits": _by_value(cells, lambda cell: cell.timings["git_commit"] or "unknown"),
        "fingerprints": _fingerprints(cells),
        "settings": settings(suite.name, cells),
    }


def _failures(cells: list[CellResult]) -> list[tuple[str, str]]:
    """Which seeds of which cells diverged, failed or were measured in part, and why."""
    failures = []
    for cell in cells:
        diverged = {seed: _diverged(cell, step) for seed, step in cell.diverged.items()}
        lost = {"diverged": diverged, "failed": cell.failed, "measured in part": cell.not_measured}
        for what, reasons in lost.items():
            seeds: dict[str, list[str]] = defaultdict(list)
            for seed, reason in sorted(reasons.items()):
                seeds[reason].append(str(seed))
            failures += [(f"{cell.key}, seed {', '.join(same)} {what}", reason) for reason, same in seeds.items()]
    return failures


def _diverged(cell: CellResult, step: int) -> str:
    """Where a seed was lost, and the options to change."""
    budget = f"budgets.{cell.params['cell']['budget']}.train"
    clip = f"{'lower' if cell.params['budget'].get('clip_norm') else 'set'} its clip_norm"
    return f"the loss was no longer finite at step {step:,}; lower {budget}.learning_rate, or {clip}"


def _budgets(cells: list[CellResult]) -> list[str]:
    """Each budget in words, with the data sets it was spent on; a baseline has no steps to spend."""
    spent: dict[str, list[str]] = defaultdict(list)
    for data in dict.fromkeys(cell.data for cell in cells):
        trained = [cell for cell in cells if cell.data == data and not cell.baseline]
        words = list(
            dict.fromkeys(f"{cell.budget}, {_plural(len(cell.training['seeds']), 'seed')}" for cell in trained)
        )
        if words:
            spent[words[0] if len(words) == 1 else "each flow has its own, in their table"].append(data)
    return [f"{', '.join(data)}: {words}" for words, data in spent.items()]


def _survived(counts: Mapping[str, int]) -> str:
    """What the tests came through, in words."""
    words = {"kills": "kills", "faults": "faults of servers, disks and caches", "inputs": "hostile inputs"}
    return "; ".join(f"{counts[kind]:,} {word}" for kind, word in words.items() if kind in counts)


def _versions(cells: list[CellResult]) -> dict[str, dict[str, str]]:
    """Each library's versions with the cells that ran on them; Python's comes first."""
    names = {name for cell in cells for name in cell.versions}
    return {
        name: _by_value(cells, lambda cell, name=name: cell.versions.get(name, "–"))
        for name in sorted(names, key=lambda name: (name != "python", name))
    }


def _fingerprints(cells: list[CellResult]) -> dict[str, dict[str, str]]:
    """By data set the splits with the first digits of their fingerprints, and the names of the cells that have these.

    There is one entry for each, unless cells that should have seen the same data have not.
    """
    return {
        name: _by_value([cell for cell in cells if cell.data == name], _splits)
        for name in dict.fromkeys(cell.data for cell in cells)
    }


def _splits(cell: CellResult) -> str:
    return ", ".join(f"{split} {sha[:12]}" for split, sha in cell.training["provenance"]["data"].items())


def _by_value(cells: list[CellResult], value: Any) -> dict[str, str]:
    """Each value that a fact takes, with the names of the cells where it does."""
    groups: dict[str, list[CellResult]] = defaultdict(list)
    for cell in cells:
        groups[value(cell)].append(cell)
    return {fact: _names(group, cells) for fact, group in groups.items()}


def _names(group: list[CellResult], cells: list[CellResult]) -> str:
    return "all cells" if len(group) == len(cells) else ", ".join(cell.key for cell in group)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _render(template: str, facts: dict[str, Any]) -> str:
    """A page; every value is escaped, in Markdown too, where HTML's entities hold as well."""
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)  # fmt: skip
    environment.filters["md"] = _markdown
    return environment.get_template(template).render(facts)


def _markdown(text: object) -> Any:
    """Text on one line in which nothing is HTML or Markdown; underscores within words are neither."""
    import markupsafe

    escaped = html.escape(" ".join(str(text).split()))
    return markupsafe.Markup(escaped.translate({ord(character): f"&#{ord(character)};" for character in "\\`*[]|~"}))
