"""What each stage declares in dvc.yaml is what it reads: neither less, for a result would go stale, nor more.

The stages of the smoke suite noted down every file of the project that they opened (see spy/sitecustomize.py).
"""

import json

import pytest

from flowbench import config, data
from tests.data.available import can_be_had
from tests.pipeline.clone import Clone

# What may be read undeclared, by the beginning of its path.
UNDECLARED = {
    "params.yaml": "the keys that a stage uses are declared one by one",
    "suites/smoke/cells.json": "its keys as well",
    "suites/smoke.yaml": "a stage refuses cells.json where it is not what this asks for",
    ".cache/downloads/": "what `download` fetched, it reads again",
    "suites/smoke/dvc.lock": "what `publish` compares the results with, and `report` digests, at each run",
    "stages/dvc.lock": "the same",
    "flowbench/runtime/warm.py": "how a process starts concerns no result",
    "mlartifacts/": "what `publish` put there is what published/<suite>.json says",
}
# Code that a stage need not have run although its imports lead there.
UNUSED: dict[str, str] = {"flowbench/tracking/runs.py": "the package that a report fetches runs with also writes them"}


def declared(clone: Clone, dependencies: list[str]) -> set[str]:
    """Files and folders that are declared, the source files behind the listings in ``code/`` included."""
    paths = {f"{path}/" if (clone.root / path).is_dir() else path for path in dependencies}
    return paths | set().union(*(listed(clone, path) for path in dependencies if path.startswith("code/")))


def listed(clone: Clone, path: str) -> set[str]:
    return set(json.loads((clone.root / path).read_text(encoding="utf-8")))


def undeclared(clone: Clone, reads: set[str], dependencies: list[str], outputs: list[str]) -> set[str]:
    """What was read although it is neither a dependency nor an output."""
    allowed = declared(clone, dependencies) | declared(clone, outputs) | UNDECLARED.keys()
    folders = tuple(name for name in allowed if name.endswith("/"))
    return {path for path in reads if path not in allowed and not path.startswith(folders)}


@pytest.fixture(scope="module")
def reads(smoke):
    return smoke.reads


@pytest.fixture(scope="module")
def stages(smoke):
    return smoke.stages


def test_every_stage_was_watched(stages, reads):
    assert reads.keys() == stages.keys()
    for stage, files in reads.items():
        assert {"flowbench/config/params.py", f"stages/{stage.partition('@')[0]}.py", "params.yaml"} <= files


def test_stages_read_only_what_they_declare(smoke, stages, reads):
    found = {
        name: undeclared(smoke, reads[name], paths(stage["deps"]), paths(stage["outs"]))
        for name, stage in stages.items()
    }
    assert {name: files for name, files in found.items() if files} == {}


def test_stages_run_all_code_that_they_declare(smoke, stages, reads):
    found = {}
    for name, stage in stages.items():
        for path in paths(stage["deps"]):
            if path.startswith("code/"):
                found[name, path] = listed(smoke, path) - reads[name] - UNUSED.keys()
    assert {where: files for where, files in found.items() if files} == {}


def test_stages_use_everything_else_that_they_declare(stages, reads):
    for name, stage in stages.items():
        for path in paths(stage["deps"]):
            # Weights are read by a library that Python cannot watch; listings of code are for DVC alone. The split that
            # is learnt from stands in a folder that is declared as well, and an energy is learnt without it. There are
            # no plug-ins here.
            if not path.endswith(("/trained", "/train.npy")) and not path.startswith(("code/", "plugins")):
                assert any(read == path or read.startswith(f"{path}/") for read in reads[name]), (name, path)


def test_a_cell_depends_on_the_code_of_its_stage_its_flow_and_its_data(smoke, stages):
    for key, cell in smoke.suite.cells.items():
        for step in ("train", "evaluate"):
            code = {path for path in paths(stages[f"{step}@{key}"]["deps"]) if path.startswith("code/")}
            assert code == {f"code/stages/{step}.json", f"code/flows/{cell.flow}.json", f"code/data/{cell.data}.json"}


@pytest.mark.slow
def test_data_that_the_smoke_suite_leaves_out(copy):
    sets = config.load(copy.root / "params.yaml").data
    names = set(sets) - set(copy.suite.data)
    names -= {name for name in names if not can_be_had(data.load(name, **sets[name]))}
    assert names
    for name in names:
        copy.stage("download", name)
    reads = copy.reads
    for name in names:
        dependencies, read = [f"code/download/{name}.json"], reads[f"download@{name}"]
        assert undeclared(copy, read, dependencies, [f"data/{name}"]) == set()
        assert set().union(*(listed(copy, path) for path in dependencies)) <= read


def paths(entries: list[dict]) -> list[str]:
    return [entry["path"] for entry in entries]
