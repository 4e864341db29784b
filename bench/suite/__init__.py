"""The flows of other libraries as cells of a suite, on the same data, budgets and evaluation as ours.

``make peers`` runs it. `bench` compares the speed of the same arithmetic. Here each library's flows are built from its
own classes with its own defaults, so that what differs in quality, too, is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from bench import peers
from flowbench.bench.folder import ROOT
from flowbench.config import PARAMS
from flowbench.config.documents import read

NAME = "peers"
FLOWS = Path(__file__).parent / "flows"

# The configuration of each data set, its budget, and what of that is other than in the repository. The rate on moons is
# the middle one of those that `flowbench tune` tries, since the best ones were looked for with our flows.
DATA: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "moons": ("plane", "plane-long", {"learning_rate": 0.004}),
    "magic": ("table", "table", {}),
}
# The flows of ours, and the libraries that have each.
ARCHITECTURES = {
    "realnvp": ("nflows", "normflows", "zuko", "freia", "pyro"),
    "maf": ("nflows", "normflows", "zuko"),
    "nsf": ("nflows", "normflows", "zuko"),
}
BASELINES = ("gaussian", "gaussian_mixture")


def files() -> list[Path]:
    """The flows of the libraries, and what they share."""
    return sorted(FLOWS.glob("*.py"))


def document(libraries: set[str], data: Sequence[str] = tuple(DATA)) -> dict[str, Any]:
    """The ``params.yaml``: ours, and the flows of some libraries with as many layers and hidden units.

    Args:
        libraries: that are there.
        data: names of data sets.
    """
    ours = read(ROOT / PARAMS)
    flows: dict[str, dict[str, Any]] = {}
    budgets = {}
    for configuration, budget, other in (DATA[name] for name in data):
        for flow in (*ARCHITECTURES, *BASELINES):
            flows.setdefault(flow, {})[configuration] = ours["flows"][flow][configuration]
        for architecture, having in ARCHITECTURES.items():
            sizes = {key: flows[architecture][configuration][key] for key in ("layers", "hidden")}
            for library in having:
                if library in libraries:
                    options = {"architecture": architecture, **deepcopy(sizes)}
                    flows.setdefault(library, {})[f"{configuration}-{architecture}"] = options
        budgets[budget] = {**ours["budgets"][budget], "train": {**ours["budgets"][budget]["train"], **other}}
    return {"data": {name: ours["data"][name] for name in data}, "flows": flows, "budgets": budgets}


def suite(libraries: set[str], seeds: int, data: Sequence[str] = tuple(DATA)) -> dict[str, Any]:
    """The ``suites/peers.yaml``; the arguments are as for `document`, and the number of trainings of each flow."""
    labels = [*BASELINES]
    for architecture, having in ARCHITECTURES.items():
        labels += [architecture, *(f"{one}-{architecture}" for one in having if one in libraries)]
    cells = [{"data": [name], "config": DATA[name][0], "budgets": {DATA[name][1]: [*labels]}} for name in data]
    versions = ", ".join(f"{library} {peers.version(library)}" for library in sorted(libraries))
    about = f"architectures from several libraries, each with its own defaults, on the same budgets: {versions}"
    return {"about": about, "seeds": list(range(seeds)), "cells": cells}
