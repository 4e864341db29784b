"""Suites: blocks that a person writes, and the cells that DVC reads."""

from pathlib import Path

import pytest

from flowbench import config
from flowbench.config import ConfigError, documents, suites

ROOT = Path(__file__).parents[2]
PARAMS = """\
data: {moons: {}, digits: {}}
flows: {glow: {plane: {}, plane-mixture: {}}, maf: {plane: {}}, iaf_distilled: {plane: {}}}
budgets: {quick: {train: {steps: 2, batch_size: 6}}, slow: {train: {steps: 20, batch_size: 6}}}
"""
GOOD = """\
about: three flows on two data sets
seeds: [0, 3]
device: cpu
cells:
  - data: [moons, digits]
    config: plane
    budgets: {quick: [glow, glow-mixture], slow: [maf, iaf_distilled]}
    teachers: {iaf_distilled: maf}
"""


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "tiny.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    return tmp_path


def load(root: Path, name: str = "tiny") -> suites.Suite:
    return suites.load(name, config.load(root / "params.yaml"), root)


def test_a_block_is_every_flow_on_every_data_set(root):
    suite = load(root)
    labels = ["glow", "glow-mixture", "maf", "iaf_distilled"]
    assert list(suite.cells) == [
        f"{data}-{label}" for data, label in [*(("moons", x) for x in labels), *(("digits", x) for x in labels)]
    ]
    assert suite.data == ["moons", "digits"]
    cell = suite.cell("digits-glow-mixture")
    assert (cell.flow, cell.config, cell.budget) == ("glow", "plane-mixture", "quick")
    assert (cell.seeds, cell.device, cell.teacher, cell.learns_from) == ([0, 3], "cpu", None, "data/digits/train.npy")
    assert suite.label("digits-glow-mixture") == "glow-mixture"


def test_a_student_learns_from_the_weights_of_the_teacher_on_its_data(root):
    cell = load(root).cells["digits-iaf_distilled"]
    assert (cell.teacher, cell.learns_from) == ("digits-maf", "results/tiny/digits-maf/trained")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[moons, digits]", "[mons]", "cells.0.data = 'mons': no such data set; did you mean 'moons'?"),
        ("[glow, glow-", "[glwo, glow-", "cells.0.budgets.quick = 'glwo': no such flow; did you mean 'glow'?"),
        (
            "glow-mixture",
            "glow-mixed",
            "glow-mixed: config = 'plane-mixed': no such configuration of glow; did",
        ),
        (
            "config: plane",
            "config: plain",
            "glow: config = 'plain': no such configuration of glow; did you",
        ),
        ("{quick:", "{quik:", "cells.0.budgets = 'quik': no such budget; did you mean 'quick'?"),
        ("seeds: [0, 3]", "seeds: []", "seeds = []: "),
        ("seeds: [0, 3]", "seeds: [0, -1]", "seeds.1 = -1: "),
        ("seeds: [0, 3]", "seeds: [0, 0]", "seeds = [0, 0]: value error, must not hold a value twice"),
        ("device: cpu", "device: gpu", "device = 'gpu': input should be 'auto', 'cpu' or 'cuda'"),
        ("about:", "abuot:", "'abuot': no such key; did you mean 'about'?"),
        ("teachers:", "teacher:", "cells.0 = 'teacher': no such key; did you mean 'teachers'?"),
        ("slow: [maf", "slow: [glow, maf", "cells.0.budgets.slow = 'glow': there is a cell moons-glow already"),
        ("iaf_distilled: maf", "iaf_distilled: mfa", "moons-iaf_distilled: teacher = 'moons-mfa': no such cell on the"),
        ("iaf_distilled: maf", "iaf_distilled: iaf_distilled", "teacher = 'moons-iaf_distilled': no such cell on the"),
        ("{iaf_distilled:", "{iaf_distiled:", "cells.0.teachers = 'iaf_distiled': no such flow of this block; did you"),
        ("{iaf_distilled: maf", "{glow: iaf_distilled, iaf_distilled: maf", "learns from a teacher itself"),
        ("cells:\n", "rest:\n", "top level = 'rest': no such key"),
        ("[glow, glow-mixture]", "[gl/ow]", "cells.0.budgets.quick = 'gl/ow': is no name; "),
        (GOOD, "", "must be a mapping"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_suite(root, old, new, message):
    assert old in GOOD
    (root / "suites" / "tiny.yaml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load(root)
    text = str(error.value)
    assert "suites/tiny.yaml: " in text
    assert message in text
    assert "\n" not in text


def test_a_mistake_in_one_suite_does_not_stop_another(root):
    (root / "suites" / "broken.yaml").write_text("cells: [", encoding="utf-8")
    assert load(root).cells
    with pytest.raises(ConfigError, match=r"suites/broken\.yaml: is not YAML"):
        load(root, "broken")


def test_an_unknown_suite_and_an_unknown_cell(root):
    with pytest.raises(ConfigError, match="suite = 'tyni': no such suite; did you mean 'tiny'"):
        load(root, "tyni")
    with pytest.raises(ConfigError, match=r"tiny\.yaml: cell = 'moons-glo': no such cell; did you mean 'moons-glow'"):
        load(root).cell("moons-glo")


def test_what_dvc_reads_are_the_cells(root):
    suite = load(root)
    assert suites.write(suite, root)
    assert not suites.write(suite, root)
    document = documents.read(root / "suites" / "tiny" / "cells.json")
    assert (document["suite"], document["root"], document["file"]) == ("tiny", "../..", "suites/tiny/cells.json")
    assert document["cells"] == {key: cell.model_dump(exclude_none=True) for key, cell in suite.cells.items()}
    assert (root / "suites" / "tiny" / "dvc.yaml").resolve() == root / "dvc.yaml"


def test_a_stage_refuses_cells_that_are_not_those_of_the_suite(root):
    params = config.load(root / "params.yaml")
    suites.write(load(root), root)
    assert suites.load_fresh("tiny", params, root).cells
    (root / "suites" / "tiny.yaml").write_text(GOOD.replace("[0, 3]", "[0, 4]"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"suites/tiny/cells\.json: is not what suites/tiny\.yaml asks for; run `"):
        suites.load_fresh("tiny", params, root)


def test_the_pipeline_of_the_default_suite_is_that_of_the_root(root):
    (root / "suites" / "laptop.yaml").write_text(GOOD, encoding="utf-8")
    suite = load(root, "laptop")
    suites.write(suite, root)
    assert documents.read(root / "cells.json")["root"] == "."
    assert (suite.stage("train", "moons-maf"), suite.repro) == ("train@moons-maf", "dvc repro")
    tiny = load(root)
    assert tiny.stage("train", "moons-maf") == "suites/tiny/dvc.yaml:train@moons-maf"
    assert tiny.repro == "dvc repro suites/tiny/dvc.yaml"
    assert suites.names(root) == ["laptop", "tiny"]


@pytest.mark.parametrize("name", suites.names(ROOT))
def test_the_committed_cells_are_those_of_the_suite(name):
    suite = suites.load(name, config.load(ROOT / "params.yaml"), ROOT)
    assert suites.is_fresh(suite, ROOT), "run `flowbench expand`"
    assert (ROOT / suite.folder / "dvc.yaml").resolve() == ROOT / "dvc.yaml"
