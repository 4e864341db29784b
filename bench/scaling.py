"""How the cost of our flows grows with the dimension, the depth and the batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from bench.run import training_step
from bench.timing import in_turns
from bench.works import Work, candidate, vectors

FLOWS = {"realnvp": "layers", "maf": "layers", "nsf": "layers"}
# Around D = 16, 4 layers and batches of 256, one of them is changed at a time.
_BASE = {"dimension": 16, "depth": 4, "batch": 256}
SIZES = {"dimension": (4, 16, 64, 256), "depth": (1, 2, 4, 8, 16), "batch": (16, 64, 256, 1024, 4096)}


class Point(NamedTuple):
    """The median seconds of a training step of one flow, with one of its sizes changed."""

    flow: str
    axis: str
    size: int
    seconds: float


def points(rounds: int) -> Iterator[Point]:
    """All points, those of one flow and axis in turns."""
    torch.set_num_threads(1)
    for flow, depth in FLOWS.items():
        for axis, sizes in SIZES.items():
            tasks = {}
            for size in sizes:
                at = _BASE | {axis: size}
                options = {depth: at["depth"], "hidden": [64, 64]}
                work = Work("", "", flow, options, vectors(at["dimension"]), at["batch"], 0)
                tasks[str(size)] = training_step(work, candidate(work.ours()))
            for size, time in in_turns(tasks, rounds=rounds).items():
                yield Point(flow, axis, int(size), time.median)


def exponent(points: Iterable[Point], flow: str, axis: str) -> float:
    """The slope of log seconds over log size of one flow and axis, between its two largest sizes.

    At small sizes the time is that of starting the operations, which does not grow.
    """
    found = sorted((p.size, p.seconds) for p in points if (p.flow, p.axis) == (flow, axis))
    (size, seconds), (larger, longer) = found[-2:]
    return math.log(longer / seconds) / math.log(larger / size)
