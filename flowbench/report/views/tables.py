"""The tables of one data set, and that of costs."""

from __future__ import annotations

from collections.abc import Iterable

from flowbench.metrics import METRICS, of_family
from flowbench.report.frame import Cell
from flowbench.report.judgement import published, uncertainty
from flowbench.report.judgement.published import Published
from flowbench.report.judgement.verdict import Gap
from flowbench.report.views import numbers
from flowbench.report.views.layout import (
    Column,
    Row,
    Scope,
    Table,
    Value,
    by_fact,
    of_cells,
    of_families,
    of_metric,
    of_words,
    texts,
)
from flowbench.report.views.text import meanings, say


def of_data(scope: Scope) -> list[Table]:
    """All tables of one data set."""
    tables = [quality(scope), *differences(scope), *noise(scope), *solvers(scope), *autoencoders(scope)]
    return [*tables, *students(scope), *published_values(scope), *moments(scope)]


def quality(scope: Scope) -> Table:
    """How good each flow is on one data set: means over seeds with intervals, the leaders marked.

    For images, the table also shows the budget and the worst round trip, since many readers look at nothing else.
    """
    columns = [] if _exact(scope) else [texts(scope, "likelihood", lambda cell: cell.likelihood)]
    known = known_bits(scope)
    for column in of_families(scope, "quality"):
        columns.append(column)
        if column.head == METRICS["bits_per_dim"].head:
            if known:
                columns.append(texts(scope, "above truth", lambda cell: _above_truth(scope, cell)))
            if any(published.beside(cell) for cell in scope.cells):
                columns.append(texts(scope, "published", _nearest))
    columns.append(_parameters(scope))
    if scope.several_budgets:
        columns += _budgets(scope)
    columns.append(of_metric(scope, "train_seconds"))
    if any("samples" in cell.record.pictures for cell in scope.cells):
        columns.append(of_metric(scope, "sample_samples_per_second"))
        columns.append(texts(scope, "round trip", lambda cell: _worst_round_trip(scope, cell)))
    table = of_cells(_quality_caption(scope), scope, columns)
    for name, bits in known:
        text = {METRICS["bits_per_dim"].head: f"{bits:.4f}".replace("-", "−")}
        table.rows.append(Row(name, [Value(text.get(head, "")) for head in table.columns], "", True))
    return table


def known_bits(scope: Scope) -> list[tuple[str, float]]:
    """Bits per dim of the true density where they are known: in expectation, and on the test examples of the cells."""
    floor = scope.first("entropy_floor_bits_per_dim")
    if floor is None:
        return []
    found = {"entropy floor": floor}
    for cell in scope.cells:
        if e := scope.estimates.get(cell.key, "true_bits_per_dim"):
            found[say("truth", n=None if e.n == _whole_test_split(cell) else e.n)] = e.value
    return list(found.items())


def _parameters(scope: Scope) -> Column:
    """They are known of a lost seed as well."""
    of = METRICS["parameters"]
    return Column(of.head, [Value(f"{cell.record.training.parameters:,}") for cell in scope.cells], of.about)


def _above_truth(scope: Scope, cell: Cell) -> str:
    return numbers.spread(scope.estimates.above_truth(cell.key), count=not scope.single)


def _nearest(cell: Cell) -> str:
    """The published value to compare with, if there is one."""
    return next((f"{value.value:.2f}" for value in published.beside(cell)), "")


def _budgets(scope: Scope) -> list[Column]:
    """What each cell was given to train with."""
    columns = [texts(scope, "steps × batch", _size)]
    if any(cell.epochs for cell in scope.cells):
        columns.append(texts(scope, "epochs", lambda c: numbers.significant(c.epochs, 2) if c.epochs else ""))
    if len({cell.place for cell in scope.cells}) > 1:
        columns.append(texts(scope, "on", lambda cell: cell.place))
    return columns


def _size(cell: Cell) -> str:
    return "{:,} × {:,}".format(*cell.budget[:2]) if cell.budget else ""


def _worst_round_trip(scope: Scope, cell: Cell) -> str:
    """Of data, prior samples and noise in float32."""
    errors = [scope.value(cell, metric) for metric in of_family("float32") if "error_max" in metric]
    return numbers.power(max((e for e in errors if e is not None), default=None))


def _exact(scope: Scope) -> bool:
    return all(cell.likelihood == "exact" for cell in scope.cells)


def _quality_caption(scope: Scope) -> str:
    values = {
        metric: [value for cell in scope.cells if (value := scope.value(cell, metric)) is not None]
        for metric in ("noise_draws", "bits_per_dim_noise_std", "bits_per_dim_standard_error")
    }
    pixels = [cell for cell in scope.cells if cell.likelihood != "none" and scope.has(cell, "noise_draws")]
    logits = by_fact(pixels, lambda cell: cell.params["flow"].get("logit"))
    return say(
        "quality",
        seeds=dict(sorted(by_fact(scope.cells, lambda cell: len(cell.seeds)).items())),
        standard_error=bool(values["bits_per_dim_standard_error"]),
        exact=_exact(scope),
        solved=any(scope.has(cell, "solver_tolerance") and cell.likelihood == "exact" for cell in scope.cells),
        draws=sorted({int(draws) for draws in values["noise_draws"]}),
        noise=max(values["bits_per_dim_noise_std"], default=None),
        logits=sorted(logits.items(), key=lambda pair: pair[0] or 0),
        examples=_parts_of_test(scope),
        annealed=_annealed(scope),
    )


def _parts_of_test(scope: Scope) -> dict[int, list[str]]:
    """The labels of the cells that were not measured on the whole test split, by the number of examples.

    There are no labels where these are all cells.
    """
    examples = {cell.key: e.n for cell in scope.cells if (e := scope.estimates.get(cell.key, "bits_per_dim"))}
    part = [cell for cell in scope.cells if examples.get(cell.key, _whole_test_split(cell)) != _whole_test_split(cell)]
    found = by_fact(part, lambda cell: examples[cell.key])
    everywhere = len(found) == 1 and len(part) == len(examples)
    return {n: [] if everywhere else labels for n, labels in sorted(found.items())}


def _whole_test_split(cell: Cell) -> int | None:
    """How many examples it has; ``None`` where that is no option of the data set."""
    return cell.params["data"].get("test")


def _annealed(scope: Scope) -> list[str]:
    """How much of an energy was learnt, where training ended before its annealing did."""
    trained = scope.having("kl_to_target").only(lambda cell: not cell.baseline).cells
    budgets = [cell.params["budget"] for cell in trained]
    steps = [(budget["steps"] - 1, anneal) for budget in budgets if (anneal := budget.get("anneal_steps"))]
    ends = {min(1.0, 0.01 + last / anneal) for last, anneal in steps}
    return [f"{end:.2f}" for end in sorted(ends)] if ends and min(ends) < 1 else []


def differences(scope: Scope) -> list[Table]:
    """How far each cell on one data set is behind the best flow, and whether that may be chance."""
    found = scope.verdict
    if found.best is None or len(found.gaps) < 2:
        return []
    others = scope.only(lambda cell: cell.key in found.gaps and cell.key != found.best)
    caption = say(
        "differences", metric=found.metric, best=scope.labels([found.best])[0], single=scope.single, scale=found.scale
    )
    columns = [texts(others, "gap", lambda cell: _gap(found.gaps[cell.key]))]
    if not scope.single:
        columns.append(texts(others, "p", lambda cell: numbers.p_value(found.gaps[cell.key].p)))
        columns.append(texts(others, "at 5 %", lambda cell: _significance(found.gaps[cell.key])))
    return [of_cells(caption, others, columns)]


def _gap(gap: Gap) -> str:
    text = numbers.significant(gap.value)
    ends = [numbers.significant(end, 2) for end in (gap.low, gap.high)]
    return text if gap.p is None else f"{text} ({ends[0]} to {ends[1]})"


def _significance(gap: Gap) -> str:
    if gap.p is None:
        return "too few seeds"
    return "told apart" if gap.told_apart else "not told apart"


def noise(scope: Scope) -> list[Table]:
    """How much of the uncertainty of bits per dim is training's, and how much evaluation's."""
    spreads = ("bits_per_dim_noise_std", "bits_per_dim_probe_std")
    if not any(map(scope.measured, spreads)):
        return []
    shown = scope.only(lambda cell: any(scope.has(cell, metric) for metric in (*spreads, "noise_draws")))
    sources = {
        "between seeds": uncertainty.between_seeds,
        "dequantisation": uncertainty.of_dequantisation,
        "probes": uncertainty.of_probes,
        "test split": uncertainty.of_test_split,
    }
    columns = []
    for head, source in sources.items():
        found = [source(scope.estimates, cell.key) for cell in shown.cells]
        if any(size is not None for size in found):
            values = [Value(numbers.significant(size, 2)) for size in found]
            columns.append(Column(head, values, meanings()[head]))
    return [of_cells(say("noise"), shown, columns)]


def solvers(scope: Scope) -> list[Table]:
    """What the solver of each continuous flow costs, how much it errs, and how straight its paths are."""
    shown = scope.having("solver_tolerance")
    if not shown.cells:
        return []
    columns = [texts(shown, "log p(x)", lambda cell: _log_prob(shown, cell)), *of_families(shown, "solver")]
    columns.append(of_metric(shown, "invertibility_error_max_float64", "round trip, at tolerance"))
    return [of_cells(say("solvers", single=shown.single), shown, columns)]


def _log_prob(scope: Scope, cell: Cell) -> str:
    if (probes := scope.value(cell, "probes")) is None:
        return cell.likelihood
    return f"{cell.likelihood}, {probes:.0f} probe{'s' if probes > 1 else ''}"


def autoencoders(scope: Scope) -> list[Table]:
    """How well images come back, and what the flow in between makes of their codes."""
    shown = scope.having("reconstruction_error")
    if not shown.cells:
        return []
    columns = [texts(shown, "flow learns by", lambda cell: cell.learns_by)]
    for column in of_families(shown, "autoencoder"):
        values = column.values
        if column.head == METRICS["latent_bits_per_dim"].head:  # of a flow that learnt nothing about density
            learnt = [cell.learns_by != "reconstruction" for cell in shown.cells]
            values = [value if known else Value("–") for value, known in zip(values, learnt, strict=True)]
        columns.append(Column(column.head, values, column.about))
    columns.append(of_metric(shown, "invertibility_error_max", "round trip of codes"))
    reconstructing = any(cell.learns_by == "reconstruction" for cell in shown.cells)
    return [of_cells(say("autoencoders", single=shown.single, reconstructing=reconstructing), shown, columns)]


def students(scope: Scope) -> list[Table]:
    """How near students are to their teachers, and how much faster they sample."""
    shown = scope.having("kl_to_teacher")
    if not shown.cells:
        return []
    columns = [texts(shown, "teacher", lambda cell: cell.teacher or "–"), of_metric(shown, "bits_per_dim")]
    return [of_cells(say("students"), shown, [*columns, *of_families(shown, "distillation")])]


def published_values(scope: Scope) -> list[Table]:
    """The published values on one data set: beside ours where the settings agree, and the others as context."""
    tables = []
    for metric in published.metrics(scope.cells[0].data):
        name = METRICS[metric].head[:1].upper() + METRICS[metric].head[1:]
        ours = ["ours", "published", "our budget", "their budget", "setting", "published as"]
        beside = Table(say("beside", name=name), ours, first="flow", words=True)
        for cell in scope.cells:
            for value in published.beside(cell, metric):
                entries = [scope.written(cell, metric), _value(value), _our_budget(scope, cell), value.budget]
                entries += [value.setting, f"{value.model}, {_source(value)}"]
                beside.rows.append(Row(cell.label, [Value(text) for text in entries], scope.note(cell)))
        rows = [
            (value.model, _value(value), "; ".join(apart), value.setting, value.budget, _source(value))
            for value, apart in published.context(scope.cells, metric)
        ]
        theirs = [METRICS[metric].head, "what differs", "setting", "budget", "published in"]
        context = of_words(say("context", name=name), "model", theirs, rows)
        tables += [table for table in (beside, context) if table.rows]
    return tables


def _our_budget(scope: Scope, cell: Cell) -> str:
    return f"{budget_in_words(cell)}; {numbers.significant(scope.value(cell, 'train_seconds'))} s on {cell.place}"


def budget_in_words(cell: Cell) -> str:
    """How long each seed is trained."""
    if cell.budget is None:
        return "fitted"
    steps, batch_size, epochs = cell.budget
    return say("budget", steps=steps, batch_size=batch_size, epochs=epochs)


def _value(value: Published) -> str:
    return f"{value.value:.2f}" if value.uncertainty is None else f"{value.value:.3f} ± {value.uncertainty:.3f}"


def _source(value: Published) -> str:
    derived = f"; {value.derived}" if value.derived else ""
    return f"{value.paper} {value.year}, arXiv {value.arxiv}{derived}"


def moments(scope: Scope) -> list[Table]:
    """What the flows learnt of the moments, above the true ones."""
    shown = scope.having("learnt_mean_error")
    if not shown.cells:
        return []
    table = of_cells(say("moments"), shown, of_families(shown, "moments"))
    names = [name for name, metric in of_family("moments").items() if metric.head in table.columns]
    true = [name.replace("learnt", "true") for name in names]
    truth = [shown.value(shown.cells[0], name) if name in METRICS else None for name in true]
    values = [Value("" if value is None else numbers.significant(value)) for value in truth]
    table.rows.append(Row("truth", values, "", True))
    return [table]


def costs(scope: Scope, hosts: dict[str, str]) -> Table:
    """What each flow costs; where there are several hosts, the letter says on which."""
    columns = of_families(scope, "cost")
    if len(hosts) > 1:
        columns.append(texts(scope, "host", lambda cell: ", ".join(hosts[host] for host in cell.hosts)))
    caption = say("costs", single=scope.single, cpu=any(cell.device == "cpu" for cell in scope.cells))
    return of_cells(caption, scope, columns, with_data=True)


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
    columns = {column for table in shown for column in table.columns}
    return entries + [(head, "", "", about) for head, about in meanings().items() if head in columns]
