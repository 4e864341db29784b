"""An edit runs again what it concerns, and nothing else. The listings of code have tests of their own."""

import pytest

from flowbench.records import closures
from tests.pipeline.clone import Clone


@pytest.fixture(scope="module")
def shared(smoke, tmp_path_factory) -> Clone:
    return smoke.copy(tmp_path_factory.mktemp("reruns"))


@pytest.fixture
def clone(shared, monkeypatch):
    """A copy of the finished clone, which each test edits and which is then as before."""
    monkeypatch.setattr(closures, "ROOT", shared.root)
    yield shared
    shared.restore("params.yaml", "suites", "flowbench", "stages/data.yaml")
    list_code(shared)


def expand(clone: Clone) -> None:
    """`flowbench expand`, in this process."""
    from typer.testing import CliRunner

    from flowbench import cli

    with clone.here():
        assert CliRunner().invoke(cli.app, ["expand"]).exit_code == 0


def list_code(clone: Clone) -> None:
    """What the stage `code` writes, without its seconds of checking params.yaml."""
    closures.write(clone.root / "code")


def test_an_option_of_a_flow_trains_its_cells_and_precision_of_measurement_none(clone):
    clone.edit("params.yaml", "hidden: [64, 64, 64], tolerance: 3e-5", "hidden: [64, 64, 64], tolerance: 4e-5")
    clone.edit("params.yaml", "{noise_draws: 2, samples: 300", "{noise_draws: 3, samples: 300")
    # Not of other flows, whose configurations have the same name. `code` reads all of params.yaml.
    assert clone.changed() == {"code", "train@moons-cnf"} | clone.stages_of(clone.suite.cells, "evaluate")


def test_comments_docstrings_and_other_suites_concern_no_cell(clone):
    clone.edit("flowbench/flows/glow.py", '"""Glow: ActNorm', '"""Glow is ActNorm')
    clone.edit("flowbench/flows/glow.py", "        kept, changed =", "\n        # Halves.\n        kept, changed =")
    clone.edit("params.yaml", "  smoke:\n", "  # The smallest.\n  smoke:\n")
    clone.edit("params.yaml", "  warm-up:", "  nobodys: {train: {steps: 1, batch_size: 1}}\n  warm-up:")
    clone.edit("suites/toy.yaml", "seeds: [0, 1, 2]", "seeds: [0, 1]")
    clone.edit("suites/smoke.yaml", "about: every stage", "about: each stage")
    expand(clone)
    list_code(clone)
    # DVC looks at the source, and then finds the same listings. The report prints what the suite is about.
    assert clone.changed() == {"code", "report"}


def test_code_concerns_the_cells_that_run_it_and_their_students(clone):
    for name in ("flows/maf.py", "data/two_modes.py"):
        with (clone.root / "flowbench" / name).open("a", encoding="utf-8") as file:
            file.write("\nUNUSED = 1\n")
    list_code(clone)
    of_data = [key for key, cell in clone.suite.cells.items() if cell.data == "two_modes"]
    assert not {clone.suite.cells[key].flow for key in of_data} & {"maf", "iaf_distilled"}
    stages = clone.stages_of(of_data) | clone.stages_of_flows("maf", "iaf_distilled")
    assert clone.changed() == {"code", "download@two_modes"} | stages


def test_a_new_cell_concerns_no_other(clone):
    clone.edit("suites/smoke.yaml", "smoke: [maf]", "smoke: [glow, maf]")
    expand(clone)
    # The report lists the suite's cells.
    assert clone.changed() == {"report", "train@moons-glow", "evaluate@moons-glow"}


def test_seeds_concern_every_cell_and_a_new_suite_none(clone):
    text = (clone.root / "suites/smoke.yaml").read_text(encoding="utf-8")
    (clone.root / "suites/another.yaml").write_text(text, encoding="utf-8")
    expand(clone)
    assert clone.changed() == set()
    clone.edit("suites/smoke.yaml", "seeds: [0, 1]", "seeds: [0, 1, 2]")
    expand(clone)
    assert clone.changed() == {"report"} | clone.stages_of(clone.suite.cells)
    clone.git("clean", "--quiet", "--force", "-d", "suites")
