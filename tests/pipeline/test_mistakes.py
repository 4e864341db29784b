"""A mistake in a configuration ends a stage with one line that names it, before anything has run."""

import pytest

from flowbench import config
from flowbench.cell import Cell
from flowbench.config import ConfigError, suites
from stages import code
from tests.pipeline.clone import PIPELINE, Clone, copy_working_tree

BUDGET = ("-training {steps: 20, ", "-training {steps: -20, ")
GLOW = "plane: {steps: 10, hidden: [64, 64]}"
PARAMS = {
    "negative budget": (*BUDGET, "budgets.smoke.train.steps = -20: input should be greater than 0"),
    "unknown option": (
        GLOW,
        "plane: {stesp: 10, hidden: [64, 64]}",
        "flows.glow.plane = 'stesp': no such key; did you mean 'steps'?",
    ),
    "wrong type": (
        GLOW,
        "plane: {steps: ten, hidden: [64, 64]}",
        "flows.glow.plane.steps = 'ten': input should be a valid integer",
    ),
    "unknown flow": (
        "  affine:\n",
        "  afine:\n",
        "flows = 'afine': no such file in flowbench/flows or plugins/flows",
    ),
    "unknown source": ("  moons: {", "  mons: {", "data = 'mons': no such data set; did you mean 'moons'?"),
}
SUITE = {
    "unknown flow": ("[maf]", "[mfa]", "cells.1.budgets.smoke = 'mfa': no such flow; did you mean 'maf'?"),
    "unknown data": ("[moons]", "[mons]", "cells.1.data = 'mons': no such data set; did you mean 'moons'?"),
    "unknown teacher": ("iaf_distilled: maf", "iaf_distilled: mfa", "moons-iaf_distilled: teacher = 'moons-mfa': no"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("mistakes"))
    copy_working_tree(clone.root)
    return clone


@pytest.mark.parametrize(("old", "new", "message"), PARAMS.values(), ids=PARAMS)
def test_the_first_stage_names_what_is_wrong_with_params(tree, old, new, message):
    before = (tree.root / "params.yaml").read_bytes()
    tree.edit("params.yaml", old, new)
    with tree.here(), pytest.raises(ConfigError) as error:
        code.main()
    (tree.root / "params.yaml").write_bytes(before)
    assert str(error.value).startswith("params.yaml: ")
    assert message in str(error.value)
    assert not (tree.root / "code").exists()


@pytest.mark.parametrize(("old", "new", "message"), SUITE.values(), ids=SUITE)
def test_the_stages_of_a_suite_name_what_is_wrong_with_it_and_those_of_others_go_on(tree, old, new, message):
    before = (tree.root / "suites/smoke.yaml").read_bytes()
    tree.edit("suites/smoke.yaml", old, new)
    with tree.here():
        params = config.load()
        for use in (lambda: Cell.resolve("smoke", "moons-nice"), lambda: suites.load_fresh("smoke", params)):
            with pytest.raises(ConfigError) as error:
                use()
            assert str(error.value).startswith("suites/smoke.yaml: ")
            assert message in str(error.value)
        assert Cell.resolve("toy", "moons-nice").options["layers"] == 8
        assert suites.load_fresh("laptop", params).cells
        code.main()
    (tree.root / "suites/smoke.yaml").write_bytes(before)


def test_dvc_says_it_in_one_line_and_changes_nothing(smoke, tmp_path):
    clone = smoke.copy(tmp_path)
    before = made(clone)
    clone.edit("params.yaml", *BUDGET)
    output = clone.dvc("repro", PIPELINE, succeeds=False)
    lines = [line for line in output.splitlines() if "params.yaml: budgets.smoke.train.steps = -20: " in line]
    assert len(lines) == 1, output
    assert "Traceback" not in output
    assert clone.ran(output) == ["code"]
    assert made(clone) == before


def made(clone: Clone) -> dict[str, str]:
    return clone.files("results", "reports", "data", "published", "stages", "suites", but=("params.yaml",))
