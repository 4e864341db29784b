"""Where the numbers of a page come from: options, commands, hosts, versions and data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from typing import Any

from flowbench.config import Suite, TrainBudget
from flowbench.config.suites import DEFAULT
from flowbench.metrics import METRICS
from flowbench.records.files import METRICS_FILE
from flowbench.report.frame import NO_COMMIT, CellResult
from flowbench.report.judgement.published import words
from flowbench.report.views import numbers
from flowbench.report.views.scope import Scope, by_value, grouped, names_of
from flowbench.report.views.text import say
from flowbench.runtime.files import md5

# These mean something only in one architecture of flow matching or with one coupling.
_OF_FLOW_MATCHING = {
    ("architecture", "vector"): ("hidden", "frequencies"),
    ("architecture", "unet"): ("channels", "multipliers", "blocks", "attention"),
    ("coupling", "optimal-transport"): ("coupled_at_once",),
}


def _stated(fact: str) -> str:
    """What the installed distribution says of itself; empty where it is run from its source."""
    try:
        return str(metadata("normalizing-flow-benchmark").json.get(fact, ""))
    except PackageNotFoundError:
        return ""


def repository() -> str:
    """Where the code can be cloned from; empty where the distribution does not say so."""
    try:
        return address(metadata("normalizing-flow-benchmark"))
    except PackageNotFoundError:
        return ""


def address(about: PackageMetadata) -> str:
    """The address of the repository in the metadata of a distribution; empty where there is none."""
    urls = (url.partition(",") for url in about.get_all("Project-URL") or [])
    named = {label.strip().lower(): url.strip() for label, _, url in urls}
    return next((named[label] for label in ("repository", "source", "source code", "github") if label in named), "")


def headline(cells: Sequence[CellResult]) -> list[str]:
    """Version, commit, host, device and seeds."""
    commits = list(dict.fromkeys(cell.commit for cell in cells))
    of_hosts = list(hosts(cells))
    seeds = [len(cell.seeds) for cell in cells]
    made_at = f"commit {commits[0][:7]}" if len(commits) == 1 else f"{len(commits)} commits"
    return [
        f"flowbench {_stated('version') or 'unreleased'}",
        "outside of a git repository" if commits == [NO_COMMIT] else made_at,
        of_hosts[0] if len(of_hosts) == 1 else f"{len(of_hosts)} hosts",
        say("seeds", low=min(seeds), high=max(seeds)),
    ]


def facts(cells: Sequence[CellResult]) -> dict[str, Any]:
    """What the pages lay out of hosts, versions, commits and data, each with the cells that it is of."""
    names = {name for cell in cells for name in cell.record.training.provenance.versions}
    started = [cell.record.training.timings.started for cell in cells]
    return {
        "year": str(datetime.fromtimestamp(max(started), UTC).year) if started else "",
        "licence": _stated("license_expression"),
        "repository": repository(),
        "hosts": {
            host: (letter, names_of([cell for cell in cells if host in cell.hosts], cells))
            for host, letter in hosts(cells).items()
        },
        "versions": {
            name: by_value(cells, lambda cell, name=name: cell.record.training.provenance.versions.get(name, "–"))
            for name in sorted(names, key=lambda name: (name != "python", name))
        },
        "commits": by_value(cells, lambda cell: cell.commit),
        "no_commit": NO_COMMIT,
        # One entry for each data set, unless cells that should have seen the same data have not.
        "fingerprints": {data: by_value(of, _splits) for data, of in grouped(cells, lambda cell: cell.data).items()},
        "options": {cell.data: _list(cell.params["data"]) for cell in cells},
    }


def of_cell(scope: Scope, cell: CellResult, suite: Suite) -> list[tuple[str, str]]:
    """What one cell scores and how it was made: pairs of a name and a text, with commands and keys between backticks.

    Args:
        scope: of the cells on the same data.
    """
    of = cell.params["cell"]
    of_seeds = scope.estimates.get(cell.key, scope.quality)
    by_seed = ", ".join(numbers.significant(value, 4) for value in of_seeds.values) if of_seeds else ""
    keys = [f"data.{of['data']}", f"flows.{of['flow']}.{of['config']}", f"budgets.{of['budget']}"]
    option = "" if suite.name == DEFAULT else f" --suite {suite.name}"
    made = (
        [(METRICS[scope.quality].head, f"{scope.written(cell, scope.quality)}; by seed: {by_seed}")] if by_seed else []
    )
    if gap := _behind(scope, cell):
        made.append(("behind the best", gap))
    made += [
        ("made by", f"`dvc repro {suite.stage('evaluate', cell.key)}`"),
        ("checked by", f"`flowbench verify {cell.key}{option}`"),
        ("made of", ", ".join(f"`{key}`" for key in keys) + " in `params.yaml`"),
        ("model", _list(_model(cell))),
    ]
    if not cell.baseline:
        made.append(("training", _training(cell)))
    if cell.teacher:
        made.append(("teacher", cell.teacher))
    return [
        *made,
        ("trained at", f"commit `{cell.commit}`"),
        ("measured at", f"commit `{cell.record.evaluation.timings.git_commit or NO_COMMIT}`"),
        ("weights", f"`results/{suite.name}/{cell.key}/trained/`; elsewhere after `flowbench pull {cell.key}{option}`"),
        ("metrics.json", f"MD5 `{md5(cell.record.folder / METRICS_FILE)}`, as in `dvc.lock`"),
    ]


def _behind(scope: Scope, cell: CellResult) -> str:
    """How far a cell is behind the best of its data set, as in the map; empty if it is the best or not compared."""
    found = scope.verdict()
    gap = found.gaps.get(cell.key)
    if gap is None or not found.best or cell.key == found.best or not math.isfinite(gap.value):
        return ""
    best = scope.by_key[found.best]
    interval = ""
    if math.isfinite(gap.low):
        interval = f" ({numbers.significant(gap.low, 2)} to {numbers.significant(gap.high, 2)})"
    return f"{numbers.signed(gap.value)}{interval}; the best is {best.label} with {scope.written(best, scope.quality)}"


def hosts(cells: Sequence[CellResult]) -> dict[str, str]:
    """Each host in words, and the letter that stands for it."""
    return {host: chr(ord("A") + i) for i, host in enumerate(sorted({host for cell in cells for host in cell.hosts}))}


def _list(options: Mapping[str, Any]) -> str:
    return ", ".join(words(name, value) for name, value in options.items()) or "no options"


def _model(cell: CellResult) -> dict[str, Any]:
    """The options of a flow that mean something beside its others."""
    options = cell.params["flow"]
    if cell.flow != "flow_matching":
        return options
    unused = [name for (key, value), names in _OF_FLOW_MATCHING.items() if options.get(key) != value for name in names]
    return {name: value for name, value in options.items() if name not in unused}


def _training(cell: CellResult) -> str:
    """The options of a budget in the order of `TrainBudget`; what zero or false switches off comes last."""
    of = cell.params["cell"]
    budget = cell.params["budget"] | {"seeds": str(of["seeds"]), "device": of["device"]}
    if budget.get("validation_examples", "") is None:
        budget["validation_examples"] = "all"
    unused = {"snapshot_every"}  # it changes pictures alone
    if not cell.teacher and cell.epochs is not None:  # neither a teacher's density nor an energy is learnt
        unused.add("anneal_steps")
    names = dict.fromkeys([*TrainBudget.model_fields, *budget])
    shown = {name: budget[name] for name in names if name in budget.keys() - unused}
    text = _list({name: value for name, value in shown.items() if value})
    off = ", ".join(name.replace("_", " ") for name, value in shown.items() if not value)
    return f"Adam: {text}; without {off}" if off else f"Adam: {text}"


def _splits(cell: CellResult) -> str:
    return ", ".join(f"{split} {sha[:12]}" for split, sha in cell.record.training.provenance.data.items())
