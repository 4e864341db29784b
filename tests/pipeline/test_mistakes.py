"""A mistake in params.yaml ends ``dvc repro`` with one line that names it, before anything has run."""

import pytest

MAF = "smoke-moons-maf: {data: moons, flow: maf, config: plane, budget: smoke}"
MISTAKES = {
    "unknown flow": (
        MAF,
        MAF.replace("flow: maf", "flow: mfa"),
        "suites.smoke.cells.smoke-moons-maf.flow = 'mfa': no such flow; did you mean 'maf'?",
    ),
    "unknown data": (
        MAF,
        MAF.replace("data: moons", "data: mons"),
        "suites.smoke.cells.smoke-moons-maf.data = 'mons': no such data set; did you mean 'moons'?",
    ),
    "negative budget": (
        "train: {steps: 20, ",
        "train: {steps: -20, ",
        "budgets.smoke.train.steps = -20: input should be greater than 0",
    ),
    "unknown option": (
        "plane: {steps: 10, hidden: [64, 64]}",
        "plane: {stesp: 10, hidden: [64, 64]}",
        "flows.glow.plane = 'stesp': no such key; did you mean 'steps'?",
    ),
    "wrong type": (
        "plane: {steps: 10, hidden: [64, 64]}",
        "plane: {steps: ten, hidden: [64, 64]}",
        "flows.glow.plane.steps = 'ten': input should be a valid integer",
    ),
    "unknown teacher": (
        "teacher: smoke-moons-maf}",
        "teacher: smoke-moons-mfa}",
        "suites.smoke.students.smoke-moons-iaf_distilled.teacher = 'smoke-moons-mfa': no such cell in "
        "suites.smoke.cells; did you mean 'smoke-moons-maf'?",
    ),
    # No stage can run then: DVC itself reads this line.
    "unknown suite": ("active: *smoke", "active: *smok", "found undefined alias"),
}


@pytest.fixture(scope="module")
def clone(smoke, tmp_path_factory):
    return smoke.copy(tmp_path_factory.mktemp("mistakes"))


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(clone, old, new, message):
    before = made(clone)
    clone.edit("params.yaml", old, new)
    output = clone.dvc("repro", succeeds=False)
    clone.restore("params.yaml")
    lines = [line for line in output.splitlines() if message in line]
    assert len(lines) == 1, output
    assert "params.yaml" in lines[0]
    assert "Traceback" not in output
    assert made(clone) == before


def test_the_command_names_the_nearest_suite(clone):
    before = (clone.root / "params.yaml").read_bytes()
    output = clone.flowbench("suite", "smok", succeeds=False)
    assert output == "params.yaml: suites = 'smok': no such suite; did you mean 'smoke'?\n"
    assert (clone.root / "params.yaml").read_bytes() == before


def made(clone):
    return clone.files("results", "reports", "data", "published"), (clone.root / "dvc.lock").read_text(encoding="utf-8")
