"""Tables: frames of entries with a row for each cell, which templates lay out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from flowbench.metrics import METRICS, Family, of_family
from flowbench.report.frame import CellResult
from flowbench.report.judgement import published, uncertainty
from flowbench.report.judgement.answers import COSTS
from flowbench.report.judgement.certification import Certificate
from flowbench.report.judgement.simultaneous import LEVEL
from flowbench.report.views import numbers, series
from flowbench.report.views.scope import Scope, by_fact
from flowbench.report.views.text import say, words


class Entry(NamedTuple):
    """A field of a table: its text, the number that it is sorted by, and how it is set.

    ``mark`` is ``best``, ``tie`` or ``fail``; ``bar`` holds where an interval begins, its value and its end lie on an
    axis from 0 to 1.
    """

    text: str
    sort: float | None = None
    mark: str = ""
    bar: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Table:
    """Entries under a caption.

    Attributes:
        frame: of entries. Its index holds keys of cells, or the names of rows that are none.
        first: the head of the names.
        with_data: whether a cell is named with its data.
        reference: the rows that are no cells' but what these are to be compared with.
        main: whether it is the one that readers filter.
    """

    caption: str
    frame: pd.DataFrame
    first: str = "flow"
    with_data: bool = False
    reference: list[str] = field(default_factory=list)
    main: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show: no row but those to compare with."""
        return len(self.frame) == len(self.reference)


Columns = dict[str, list[Entry]]


def of_cells(
    caption: str,
    scope: Scope,
    columns: Columns,
    *,
    with_data: bool = False,
    reference: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    main: bool = False,
) -> Table:
    """One row for each cell, and those of ``reference``, which holds texts by row and head."""
    frame = pd.DataFrame({head: pd.Series(entries, dtype=object) for head, entries in columns.items()})
    frame = frame.set_axis(list(scope.by_key), axis="index")
    for name, known in reference.items():
        frame.loc[name] = [Entry(known.get(head, "")) for head in frame.columns]
    return Table(caption, frame, "cell" if with_data else "flow", with_data, list(reference), main)


def of_words(
    caption: str, first: str, heads: list[str], rows: Iterable[tuple[str, ...]], *, with_data: bool = False
) -> Table:
    """Rows of plain text, each led by its name."""
    rows = list(rows)
    entries = [[Entry(text) for text in texts] for _, *texts in rows]
    frame = pd.DataFrame(entries, columns=heads, index=[name for name, *_ in rows], dtype=object)
    return Table(caption, frame, first, with_data)


def filled(tables: Iterable[Table]) -> list[Table]:
    """Those that are not empty."""
    return [table for table in tables if not table.empty]


def texts(scope: Scope, text: Callable[[CellResult], str]) -> list[Entry]:
    """What ``text`` says of each cell."""
    return [Entry(text(cell)) for cell in scope.cells]


def of_numbers(values: Iterable[float | None]) -> list[Entry]:
    """Numbers to two digits."""
    return [Entry(numbers.significant(value, 2), value) for value in values]


def of_metric(scope: Scope, metric: str) -> list[Entry]:
    """A column as the catalogue has it; where the table is of one data set, what leads by the verdict is marked."""
    marks = scope.verdict(metric).marks if METRICS[metric].judged and len(scope.by_data) == 1 else {}
    return [
        Entry(scope.written(cell, metric), scope.value(cell, metric), marks.get(cell.key, "")) for cell in scope.cells
    ]


def of_metrics(scope: Scope, *metrics: str) -> Columns:
    """A column for each of some metrics."""
    return {METRICS[metric].head: of_metric(scope, metric) for metric in metrics}


def of_families(scope: Scope, *families: Family) -> Columns:
    """A column for each metric of some families that has a head and that any cell has."""
    found = of_family(*families).items()
    return of_metrics(scope, *(name for name, metric in found if metric.head and scope.measured(name)))


def quality(scope: Scope) -> Table:
    """How good each flow is on one data set, how far behind the best, and at what cost."""
    columns = of_metrics(scope, scope.quality) | {"behind the best": behind(scope)}
    columns |= of_metrics(scope, *COSTS.values()) | {"certified": [_certified(scope, cell) for cell in scope.cells]}
    columns |= of_families(scope, "quality")
    if scope.measured("entropy_floor_bits_per_dim"):
        above = [scope.estimates.above_truth(cell.key) for cell in scope.cells]
        columns["above truth"] = [Entry(numbers.spread(e, count=False), e.value if e else None) for e in above]
    if scope.single and scope.measured("bits_per_dim_standard_error"):
        columns["test split"] = of_numbers(scope.value(cell, "bits_per_dim_standard_error") for cell in scope.cells)
    if any(published.beside(cell) for cell in scope.cells):
        columns["published"] = texts(
            scope, lambda cell: next((f"{value.value:.2f}" for value in published.beside(cell)), "")
        )
    if any(cell.likelihood != "exact" for cell in scope.cells):
        columns["likelihood"] = texts(scope, lambda cell: cell.likelihood)
    columns["parameters"] = [
        Entry(f"{cell.record.training.parameters:,}", cell.record.training.parameters) for cell in scope.cells
    ]
    if scope.several_budgets:
        columns["steps × batch"] = texts(
            scope, lambda cell: "{:,} × {:,}".format(*cell.budget[:2]) if cell.budget else ""
        )
        columns["epochs"] = texts(scope, lambda cell: numbers.significant(cell.epochs, 2) if cell.epochs else "")
    if len({cell.place for cell in scope.cells}) > 1:
        columns["on"] = texts(scope, lambda cell: cell.place)
    caption = say("quality", seeds=dict(sorted(by_fact(scope.cells, lambda cell: len(cell.seeds)).items())))
    known = {name: {METRICS[scope.quality].head: numbers.fixed(bits, 4)} for name, bits in known_bits(scope).items()}
    return of_cells(caption, scope, columns, reference=known, main=True)


def behind(scope: Scope) -> list[Entry]:
    """How far each cell is behind the best certified flow, with the interval that the verdict goes by."""
    found = scope.verdict()
    gaps = {key: gap for key, gap in found.gaps.items() if math.isfinite(gap.value)}
    ends = sorted(gap.high if math.isfinite(gap.high) else gap.value for gap in gaps.values())
    # A flow that is far behind leaves the axis; otherwise the others would be one dot.
    limit = min(ends[-1], 4 * ends[len(ends) // 2]) if ends else 0.0

    def entry(cell: CellResult) -> Entry:
        gap = gaps.get(cell.key)
        if gap is None:
            return Entry(found.excluded.get(cell.key, "–"))
        text = "best" if cell.key == found.best else numbers.signed(gap.value)
        bar = (gap.value, gap.value, gap.value)
        if math.isfinite(gap.low):
            text += f" ({numbers.significant(gap.low, 2)} to {numbers.significant(gap.high, 2)})"
            # The interval of what is told apart may end at 0, as that of a tie does.
            text += ", apart" if gap.told_apart and gap.low <= 0 <= gap.high else ""
            bar = (gap.low, gap.value, gap.high)
        scaled = tuple(min(1.05, max(-0.02, end / limit)) for end in bar) if limit > 0 else None
        mark = "tie" if found.marks.get(cell.key) == "tie" else ""
        return Entry(text, gap.value, mark, scaled)  # type: ignore[arg-type]

    return [entry(cell) for cell in scope.cells]


def _certified(scope: Scope, cell: CellResult) -> Entry:
    certificate = scope.certificates[cell.key]
    if certificate.failed:
        return Entry(f"fails: {', '.join(certificate.failed)}", 1, "fail")
    return Entry("yes", 0) if certificate != Certificate() else Entry("–", 2)


def known_bits(scope: Scope) -> dict[str, float]:
    """Bits per dim of the true density where they are known: in expectation, and on the test examples of the cells."""
    floor = scope.first("entropy_floor_bits_per_dim")
    if floor is None or scope.quality != "bits_per_dim":
        return {}
    found = {"entropy floor": floor}
    for cell in scope.cells:
        if e := scope.estimates.get(cell.key, "true_bits_per_dim"):
            found[say("truth", n=None if e.n == _whole_test_split(cell) else e.n)] = e.value
    return found


def remarks(scope: Scope) -> list[str]:
    """What must be known of the numbers on one data set beside their caption."""
    pixels = [cell for cell in scope.cells if cell.likelihood != "none" and scope.has(cell, "noise_draws")]
    logits = by_fact(pixels, lambda cell: cell.params["flow"].get("logit"))
    noise = [value for cell in pixels if (value := scope.value(cell, "bits_per_dim_noise_std")) is not None]
    text = say(
        "remarks",
        draws=sorted({int(scope.value(cell, "noise_draws") or 0) for cell in pixels}),
        noise=max(noise, default=None),
        logits=sorted(logits.items(), key=lambda pair: pair[0] or 0),
        examples=_parts_of_test(scope),
        annealed=_annealed(scope),
        several_budgets=scope.several_budgets,
    )
    return [sentence.strip() for sentence in text.split("¶") if sentence.strip()]


def _parts_of_test(scope: Scope) -> dict[int, list[str]]:
    """The labels of the cells that were not measured on the whole test split, by the number of examples.

    There are no labels where these are all cells.
    """
    examples = {cell.key: e.n for cell in scope.cells if (e := scope.estimates.get(cell.key, "bits_per_dim"))}
    part = [cell for cell in scope.cells if examples.get(cell.key, _whole_test_split(cell)) != _whole_test_split(cell)]
    found = by_fact(part, lambda cell: examples[cell.key])
    everywhere = len(found) == 1 and len(part) == len(examples)
    return {n: [] if everywhere else labels for n, labels in sorted(found.items())}


def _whole_test_split(cell: CellResult) -> int | None:
    """How many examples it has; ``None`` where that is no option of the data set."""
    return cell.params["data"].get("test")


def _annealed(scope: Scope) -> list[str]:
    """How much of an energy was learnt, where training ended before its annealing did."""
    trained = scope.having("kl_to_target").only(lambda cell: not cell.baseline).cells
    budgets = [cell.params["budget"] for cell in trained]
    steps = [(budget["steps"] - 1, anneal) for budget in budgets if (anneal := budget.get("anneal_steps"))]
    ends = {min(1.0, 0.01 + last / anneal) for last, anneal in steps}
    return [f"{end:.2f}" for end in sorted(ends)] if ends and min(ends) < 1 else []


def folded(scope: Scope) -> list[Table]:
    """The other tables of one data set."""
    return filled([noise(scope), solvers(scope), autoencoders(scope), students(scope), moments(scope)])


def noise(scope: Scope) -> Table:
    """How much of the uncertainty of bits per dim is training's, and how much evaluation's."""
    spreads = ("bits_per_dim_noise_std", "bits_per_dim_probe_std")
    asked = (*spreads, "noise_draws") if any(map(scope.measured, spreads)) else ()
    shown = scope.having(*asked)
    sources = {
        "between seeds": uncertainty.between_seeds,
        "dequantisation": uncertainty.of_dequantisation,
        "probes": uncertainty.of_probes,
        "test split": uncertainty.of_test_split,
    }
    found = {head: [source(scope.estimates, cell.key) for cell in shown.cells] for head, source in sources.items()}
    known = {head: sizes for head, sizes in found.items() if any(size is not None for size in sizes)}
    return of_cells(say("noise"), shown, {head: of_numbers(sizes) for head, sizes in known.items()})


def solvers(scope: Scope) -> Table:
    """What the solver of each continuous flow costs, how much it errs, and how straight its paths are."""
    shown = scope.having("solver_tolerance")
    columns = {"log p(x)": texts(shown, lambda cell: _log_prob(shown, cell)), **of_families(shown, "solver")}
    columns["round trip, at tolerance"] = of_metric(shown, "invertibility_error_max_float64")
    return of_cells(say("solvers"), shown, columns)


def _log_prob(scope: Scope, cell: CellResult) -> str:
    if (probes := scope.value(cell, "probes")) is None:
        return cell.likelihood
    return f"{cell.likelihood}, {probes:.0f} probe{'s' if probes > 1 else ''}"


def autoencoders(scope: Scope) -> Table:
    """How well images come back, and what the flow in between makes of their codes."""
    shown = scope.having("reconstruction_error")
    columns = {"flow learns by": texts(shown, lambda cell: cell.learns_by), **of_families(shown, "autoencoder")}
    bits = METRICS["latent_bits_per_dim"].head
    if bits in columns:  # a flow that only reconstructs learnt nothing about density
        pairs = zip(columns[bits], shown.cells, strict=True)
        columns[bits] = [entry if cell.learns_by != "reconstruction" else Entry("–") for entry, cell in pairs]
    columns["round trip of codes"] = of_metric(shown, "invertibility_error_max")
    return of_cells(say("autoencoders"), shown, columns)


def students(scope: Scope) -> Table:
    """How near students are to their teachers, and how much faster they sample."""
    shown = scope.having("kl_to_teacher")
    columns = {"teacher": texts(shown, lambda cell: cell.teacher or "–"), **of_families(shown, "distillation")}
    return of_cells(say("students"), shown, columns)


def moments(scope: Scope) -> Table:
    """What the flows learnt of the moments, above the true ones."""
    shown = scope.having("learnt_mean_error")
    true = {metric.head: shown.first(metric.truth) for metric in of_family("moments").values()}
    known = {"truth": {head: numbers.significant(value) for head, value in true.items() if value is not None}}
    return of_cells(say("moments"), shown, of_families(shown, "moments"), reference=known)


def costs(scope: Scope, hosts: Mapping[str, str]) -> Table:
    """What each flow costs; where there are several hosts, the letter says on which."""
    columns = of_families(scope, "cost")
    if len(hosts) > 1:
        columns["host"] = texts(scope, lambda cell: ", ".join(hosts[host] for host in cell.hosts))
    cpu = any(cell.device == "cpu" for cell in scope.cells)
    return of_cells(say("costs", single=scope.single, cpu=cpu), scope, columns, with_data=True)


def terms() -> dict[str, str]:
    """What words of the page mean."""
    facts = {"level": 100 * LEVEL, "share": 100 * series.PLATEAU_SHARE}
    return {term: about.format(**facts) for term, about in words("words")["terms"].items()}


def glossary(scope: Scope, shown: Iterable[Table]) -> list[tuple[str, str, str, str]]:
    """Every metric and every derived column of the tables: its head, its name, its unit and its meaning.

    Metrics of one group are one entry together.
    """
    entries: list[tuple[str, str, str, str]] = []
    for name, metric in METRICS.items():
        head = f"{metric.head} (float64)" if metric.family == "float64" else metric.head
        entry = (head, name, metric.unit, metric.about)
        if group := metric.group:
            entry = (group.head, group.names, group.unit, group.about)
        if scope.measured(name) and entry not in entries:
            entries.append(entry)
    heads = {head for table in shown for head in table.frame.columns}
    return entries + [(head, "", "", about) for head, about in words("words")["columns"].items() if head in heads]
