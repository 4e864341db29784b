"""Each flow is trained and measured, as the stages do it: in the smoke suite, or here, where it takes a second."""

import json
from pathlib import Path

import pytest

from flowbench import config, flows
from flowbench.config import suites
from flowbench.evaluation.cell import CellEvaluation
from flowbench.records.record import Record
from flowbench.training.cell import CellTraining
from tests.shallow import shallow
from tests.tiny_cells import prepare, resolve

ROOT = Path(__file__).parents[2]
PARAMS = config.load(ROOT / "params.yaml")
SMOKE = suites.load("smoke", PARAMS, ROOT)
OTHERS = sorted(set(flows.names()) - {cell.flow for cell in SMOKE.cells.values()})
BUDGET = {
    "train": {"steps": 3, "batch_size": 32},
    "evaluate": {
        "samples": 50,
        "invertibility_points": 10,
        "logdet_points": 2,
        "grid": 10,
        "throughput_seconds": 0.001,
        "pictures": False,
    },
}


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """A suite of a cell for each flow that the smoke suite has not, on moons."""
    plane = {flow: {"plane": shallow(PARAMS.flows[flow].get("plane", {}))} for flow in OTHERS}
    moons = {"train": 300, "validation": 100, "test": 100, "noise": 0.05}
    params = {"data": {"moons": moons}, "flows": plane, "budgets": {"three": BUDGET}}
    suite = {
        "about": "one cell of each",
        "seeds": [0],
        "device": "cpu",
        "cells": [{"data": ["moons"], "config": "plane", "budgets": {"three": OTHERS}}],
    }
    root = tmp_path_factory.mktemp("others")
    prepare(root, json.dumps(params), json.dumps(suite))  # JSON is YAML
    return root


@pytest.mark.parametrize("flow", OTHERS)
def test_it_is_trained_and_measured(others, flow):
    CellTraining(resolve(others, f"moons-{flow}")).run()
    CellEvaluation(cell := resolve(others, f"moons-{flow}")).run()
    values = Record.load(cell.folder).finished_values
    assert values.keys() >= {"bits_per_dim", "energy_distance", "sample_samples_per_second"}
    assert all(value.keys() == {0} for value in values.values())
