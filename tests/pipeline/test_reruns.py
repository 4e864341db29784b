"""An edit runs again what it concerns, and nothing else."""

import pytest

from tests.pipeline.clone import Clone


def test_an_option_of_a_flow_concerns_the_cells_with_that_configuration(copy):
    copy.edit("params.yaml", "digits-multi-scale: {steps: 2,", "digits-multi-scale: {steps: 1,")
    # Not of RealNVP, whose configuration has the same name. `code` reads all of params.yaml.
    assert copy.changed() == {"code", "train@smoke-digits-glow-multi-scale", "evaluate@smoke-digits-glow-multi-scale"}


def test_precision_of_measurement_does_not_train_again(copy):
    copy.edit("params.yaml", "{noise_draws: 2, samples: 500", "{noise_draws: 3, samples: 500")
    assert copy.changed() == {"code"} | copy.stages_of(copy.cells, "evaluate")


def test_comments_docstrings_and_other_suites_concern_nothing(copy):
    copy.edit("flowbench/flows/glow.py", '"""Glow: ActNorm', '"""Glow is ActNorm')
    copy.edit("flowbench/flows/glow.py", "    kept, changed =", "\n    # Halves.\n    kept, changed =")
    copy.edit("params.yaml", "      moons-nice: {", "      # The first.\n      moons-nice: {")
    copy.edit("params.yaml", "    about: every flow of vectors", "    about: all flows of vectors")
    assert copy.changed() == {"code"}
    copy.dvc("repro", "code")
    assert copy.changed() == set()


CODE = {
    "a flow": ("flowbench/flows/maf.py", ["maf", "iaf_distilled"]),
    "a layer": ("flowbench/layers/autoregressive.py", ["maf", "iaf", "iaf_distilled"]),
    "a layer of one flow": ("flowbench/layers/rescaling.py", ["nice"]),
    "a network": ("flowbench/networks/mlp.py", ["glow", "nice", "realnvp", "flow_autoencoder"]),
}


@pytest.mark.parametrize(("path", "concerned"), CODE.values(), ids=CODE)
def test_code_concerns_the_flows_that_import_it(copy, path, concerned):
    add_code(copy, path)
    assert copy.changed() == {"code"} | copy.stages_of_flows(*concerned)


def test_code_of_data_concerns_its_cells(copy):
    add_code(copy, "flowbench/data/two_modes.py")
    cells = copy.stages_of([key for key, cell in copy.cells.items() if cell["data"] == "two_modes"])
    assert copy.changed() == {"code", "download@two_modes"} | cells


def test_code_of_a_stage_concerns_that_stage(copy):
    add_code(copy, "flowbench/training/loop.py")
    assert copy.changed() == {"code"} | copy.stages_of(copy.cells, "train")


def test_code_of_distillation_concerns_students(copy):
    for room in ("training", "evaluation"):
        add_code(copy, f"flowbench/{room}/distillation.py")
    assert copy.changed() == {"code"} | copy.stages_of(copy.params["active"]["students"])


def test_a_new_flow_concerns_no_other_cell(copy):
    flow = (copy.root / "flowbench/flows/nice.py").read_text(encoding="utf-8")
    (copy.root / "flowbench/flows/nicer.py").write_text(flow, encoding="utf-8")
    copy.edit("params.yaml", "flows:\n  affine:", "flows:\n  nicer:\n    plane: {layers: 2, hidden: [8]}\n  affine:")
    nice = "smoke-moons-nice: {data: moons, flow: nice, config: plane, budget: smoke}"
    copy.edit("params.yaml", nice, f"{nice}\n      {nice.replace('nice', 'nicer')}")
    list_code(copy)
    # The report lists the active cells.
    new = {"train@smoke-moons-nicer", "evaluate@smoke-moons-nicer"}
    assert copy.changed() == {"code", "report@smoke"} | new


def add_code(clone: Clone, path: str) -> None:
    with (clone.root / path).open("a", encoding="utf-8") as file:
        file.write("\nUNUSED = 1\n")
    list_code(clone)


def list_code(clone: Clone) -> None:
    """What the stage `code` writes, without its seconds of checking params.yaml."""
    clone.python("from pathlib import Path; from flowbench.records import closures; closures.write(Path('code'))")
