"""``flowbench compare``: the reports of two git revisions."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from flowbench import config
from flowbench.config import suites

# What stands in the place of a revision for the files as they are.
_HERE = "."


def compare(
    before: Annotated[str, typer.Argument(metavar="REV1", help="A git revision, such as HEAD~3 or v1.0.")],
    now: Annotated[str, typer.Argument(metavar="REV2", help="Another; '.' is the report as it is here.")] = _HERE,
    suite: Annotated[str, typer.Option(help="Whose report.")] = suites.DEFAULT,
    metric: Annotated[list[str] | None, typer.Option(help="A metric; those of quality if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare each metric of each cell in the reports of two git revisions, by the report's own rule.

    A value is called better or worse if the rule tells it from what it was. Exit status 1 says that one is worse.
    """
    config.known_argument(suite, suites.names(), "suite")
    from flowbench.metrics import METRICS
    from flowbench.report.judgement.changes import changes

    for name in metric or []:
        config.known_argument(name, METRICS, "metric")
    old, new = _read(suite, before), _read(suite, now)
    found = changes(old, new, metric)
    counts = Counter(change.kind for change in found)
    cells = set(old["cell"]), set(new["cell"])
    added, gone = sorted(cells[1] - cells[0]), sorted(cells[0] - cells[1])
    if as_json:
        print(json.dumps({"changes": [asdict(change) for change in found], "new": added, "gone": gone}))
    else:
        _print(found, counts, added, gone)
    if counts["worse"]:
        raise typer.Exit(1)


def _print(found: list, counts: Counter, new: list[str], gone: list[str]) -> None:
    told = [change for change in found if change.kind in ("better", "worse")]
    if told:
        print(f"{'cell':40} {'metric':24} {'before':>12} {'now':>12}  change")
    for change in told:
        print(f"{change.cell:40} {change.metric:24} {change.before:12.6g} {change.now:12.6g}  {change.kind}")
    kinds = ("better", "worse", "not told apart", "same")
    print(f"{len(found)} values: {', '.join(f'{counts[kind]} {kind}' for kind in kinds)}.")
    for word, keys in (("New", new), ("Gone", gone)):
        if keys:
            print(f"{word}: {', '.join(keys)}.")


def _read(suite: str, revision: str):
    """The frame of a suite's report at a revision."""
    from pathlib import Path

    from flowbench.records.committed import committed
    from flowbench.report.frame import read_csv

    path = f"reports/{suite}/results.csv"
    if revision == _HERE:
        text = Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    else:
        text = committed(path, revision=revision)
    frame = read_csv(text)
    if frame is None:
        place = "here" if revision == _HERE else f"at the revision {revision!r}"
        print(f"{path}: there is no such table {place}", file=sys.stderr)
        raise typer.Exit(2)
    return frame
