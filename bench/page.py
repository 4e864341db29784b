"""``reports/bench``: the table, the figures and the numbers behind them."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench import peers
from bench.parts import Parts
from bench.run import ALL, OURS, Row
from bench.scaling import SIZES, Point, exponent
from bench.timing import Time
from bench.works import LOOP, TRAIN, WORKS

_HEADER = ("work", "quantity", "library", "median_seconds", "low", "high", "rounds", "remark")


class Comparison(NamedTuple):
    """Ours beside the fastest peer.

    Attributes:
        best: the fastest peer.
        ours, theirs: the times.
        goal: the speed that we want.
    """

    work: str
    quantity: str
    best: str
    ours: Time
    theirs: Time
    goal: float

    @property
    def ratio(self) -> float:
        """The peer's median over ours: above one if ours is faster."""
        return self.theirs.median / self.ours.median

    @property
    def reached(self) -> bool:
        """Whether ours is as fast as we want."""
        return self.ratio >= self.goal


def compared(rows: Iterable[Row]) -> list[Comparison]:
    """Each work and quantity that has a goal, and that both ours and a peer were timed on."""
    times = {(row.work, row.quantity, row.library): row.time for row in rows if row.time}
    found = []
    for work in WORKS:
        for quantity, goal in work.goals.items():
            ours = times.get((work.name, quantity, OURS))
            others = {name: time for name in peers.PEERS if (time := times.get((work.name, quantity, name)))}
            if ours and others:
                best = min(others, key=lambda name: others[name].median)
                found.append(Comparison(work.name, quantity, best, ours, others[best], goal))
    return found


def write(folder: Path, rows: Sequence[Row], points: Sequence[Point], shares: Sequence[Parts] = ()) -> None:
    """Write ``README.md``, ``results.csv``, ``scaling.csv``, ``speed.png`` and ``scaling.png``.

    Args:
        shares: where the time of ours goes, of each goal that is missed.
    """
    from bench import figures  # Matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    times = ((row.work, row.quantity, row.library, *(row.time or [""] * 4), row.note) for row in rows)
    _csv(folder / "results.csv", _HEADER, times)
    _csv(folder / "scaling.csv", Point._fields, points)
    figures.speed(folder / "speed.png", compared(rows))
    figures.scaling(folder / "scaling.png", points)
    (folder / "README.md").write_text(text(rows, points, shares), encoding="utf-8")


def text(rows: Sequence[Row], points: Sequence[Point], shares: Sequence[Parts] = ()) -> str:
    """The page in Markdown."""
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined)
    templates.filters["time"] = _time
    bare = {row.work: row.time for row in rows if (row.quantity, row.library) == (TRAIN, OURS)}
    used = dict.fromkeys(row.library for row in rows if row.time and row.library != OURS)
    flows = dict.fromkeys(point.flow for point in points)
    return templates.get_template("page.md.jinja").render(
        day=datetime.now(UTC).date().isoformat(),
        torch=torch.__version__.partition("+")[0],
        python=platform.python_version(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        versions=", ".join(f"{name} {peers.version(name)}" for name in used),
        absent=[f"{row.library} ({row.note})" for row in rows if row.work == ALL],
        compared=(found := compared(rows)),
        missed=[(one, part) for one in found for part in shares if (one.work, one.quantity) == part[:2]],
        loops=[(row.work, bare[row.work], row.time) for row in rows if row.quantity == LOOP],
        axes=list(SIZES),
        exponents={flow: [f"{exponent(points, flow, axis):.2f}" for axis in SIZES] for flow in flows},
        rows=[row for row in rows if row.quantity != LOOP],
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a processor")


def _time(time: Time) -> str:
    median, low, high = (f"{1000 * seconds:.3g}" for seconds in time[:3])
    return f"{median} ms ({low} to {high})"


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
