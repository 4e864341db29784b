"""Flows, layers, data and metrics of one's own: files below plugins/, and packages that are installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny_cells

LAYER = """\
import torch
from torch import nn

from flowbench.core import FlowModule


class Scale(FlowModule):
    def __init__(self, dims):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(dims))

    def encode(self, x):
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def decode(self, z):
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(z))


def examples():
    return {"vector": (Scale(3), (3,))}
"""
FLOW = """\
from pydantic import PositiveInt

from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import vector_flow
from flowbench.layers.scale import Scale


def build(event: Event, *, layers: PositiveInt) -> FlowModel:
    return vector_flow(event, [Scale(event.dims) for _ in range(layers)])
"""
DATA = """\
from flowbench.core import Event
from flowbench.data import SampledSource


class Stripe(SampledSource):
    event = Event((2,))

    def draw(self, n, rng):
        return rng.normal(size=(n, 2)) * [1, 5]


source = Stripe
"""
METRIC = """\
from flowbench.metrics import Measured, Metric

METRICS = {"widest": Metric("data units", "lower", "Largest coordinate of a sample.", "quality", "widest")}


def measure(subject):
    return {"widest": Measured(float(subject.samples.abs().max()), len(subject.samples))}
"""
PARAMS = """\
data:
  stripe: {train: 300, validation: 100, test: 100}
  mine: {source: table, path: mine.csv}
flows:
  stretch: {plane: {layers: 2}}
  gaussian: {plane: {}}
budgets:
  tiny:
    train: {steps: 20, batch_size: 50}
    evaluate: {samples: 50, invertibility_points: 10, logdet_points: 2, grid: 10, throughput_seconds: 0.001}
"""
SUITE = """\
about: a flow and data of one's own
seeds: [0]
device: cpu
cells:
  - {data: [stripe, mine], config: plane, budgets: {tiny: [stretch, gaussian]}}
"""


@pytest.fixture
def root(tmp_path):
    tiny_cells.configure(tmp_path, PARAMS, SUITE)
    for path, text in {
        "layers/scale": LAYER,
        "flows/stretch": FLOW,
        "data/stripe": DATA,
        "metrics/widest": METRIC,
    }.items():
        file = tmp_path / "plugins" / f"{path}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    rows = "".join(f"{0.37 * i},{i * i % 11 + 0.25}\n" for i in range(77))
    (tmp_path / "mine.csv").write_text("a,b\n" + rows, encoding="utf-8")
    return tmp_path


def run(root, *command, status=0, **environment):
    """What a command of Python's prints in ``root``, whose exit status must be ``status``."""
    run = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == status, run.stdout
    return run.stdout


def flowbench(root, *arguments, **options):
    return run(root, "-c", "from flowbench.cli import main; main()", *arguments, **options)


def test_files_of_ones_own_are_certified_trained_and_measured(root):
    assert "stretch/plane on vectors" in flowbench(root, "check", "stretch")
    assert "scale: vector" in flowbench(root, "check", "scale")
    run(root, "-m", "stages.code")
    for name in ("stripe", "mine"):
        run(root, "-m", "stages.download", name)
        for flow in ("stretch", "gaussian"):
            run(root, "-m", "stages.train", "tiny", f"{name}-{flow}")
            run(root, "-m", "stages.evaluate", "tiny", f"{name}-{flow}")
            metrics = json.loads((root / f"results/tiny/{name}-{flow}/metrics.json").read_text(encoding="utf-8"))
            assert metrics["widest"] > 0
            assert metrics["status"] == "finished"


def test_their_code_is_in_the_listings_of_the_cells_that_run_it(root):
    def listings():
        run(root, "-m", "stages.code")
        return {
            str(path.relative_to(root / "code")): json.loads(path.read_text(encoding="utf-8"))
            for path in (root / "code").rglob("*.json")
        }

    before = listings()
    assert {"plugins/flows/stretch.py", "plugins/layers/scale.py"} <= before["flows/stretch.json"].keys()
    assert "flowbench/flows/_assembly.py" in before["flows/stretch.json"]
    assert "flowbench/layers/planar.py" not in before["flows/stretch.json"]
    assert "plugins/data/stripe.py" in before["data/stripe.json"]
    assert "flowbench/data/table.py" in before["data/mine.json"]
    assert "plugins/metrics/widest.py" in before["stages/evaluate.json"]
    assert "plugins/metrics/widest.py" not in before["stages/train.json"]
    layer = root / "plugins/layers/scale.py"
    layer.write_text(LAYER.replace("return z *", "return 1.0 * z *") + "# And a comment.\n", encoding="utf-8")
    after = listings()
    assert [name for name in after if after[name] != before[name]] == ["flows/stretch.json"]
    layer.write_text(LAYER + "# A comment alone.\n", encoding="utf-8")
    assert listings() == before


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("flows/stretch", "def build(:\n", "plugins/flows/stretch.py:1: SyntaxError: invalid syntax"),
        ("flows/stretch", "def bild(event): ...\n", "plugins/flows/stretch.py: add build(event, *, ...)"),
        ("flows/stretch", "import nothing_of_this_name\n", "plugins/flows/stretch.py:1: ModuleNotFoundError"),
        ("flows/gaussian", FLOW, "several plug-ins are called gaussian"),
        ("layers/scale", LAYER.replace("return z *", "return 2 * z *"), "FAILED"),
        ("layers/scale", LAYER.replace("-self.log_scale.sum()", "self.log_scale.sum()"), "FAILED"),
    ],
)
def test_a_broken_file_is_named_and_the_rest_works(root, file, text, message):
    (root / f"plugins/{file}.py").write_text(text, encoding="utf-8")
    told = flowbench(root, "check", file.partition("/")[2], status=1)
    assert message in told
    assert "Traceback" not in told
    assert "moons" not in flowbench(root, "list")
    assert "ok" in flowbench(root, "check", "rescaling")


def test_a_broken_metric_is_left_out_with_a_line(root):
    (root / "plugins/metrics/widest.py").write_text("METRICS = 1 / 0\n", encoding="utf-8")
    told = run(root, "-c", "from flowbench.metrics import METRICS; print('bits_per_dim' in METRICS)")
    assert "flowbench.metrics: widest is left out: plugins/metrics/widest.py:1: ZeroDivisionError" in told
    assert told.endswith("True\n")


@pytest.fixture
def package(tmp_path_factory):
    """A folder with an installed package that contributes a flow, a layer and a metric."""
    place = tmp_path_factory.mktemp("site")
    own, info = place / "stretching", place / "stretching-1.0.dist-info"
    own.mkdir()
    info.mkdir()
    flow = FLOW.replace("flowbench.layers.scale", "stretching.scale")
    for name, text in {"__init__": "", "scale": LAYER, "stretched": flow, "widest": METRIC}.items():
        (own / f"{name}.py").write_text(text, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stretching\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[flowbench.flows]\nstretched = stretching.stretched\n"
        "[flowbench.layers]\nscale = stretching.scale\n"
        "[flowbench.metrics]\nwidest = stretching.widest\n",
        encoding="utf-8",
    )
    return place


def test_a_package_contributes(tmp_path, package):
    params = PARAMS.replace("stretch:", "stretched:").replace("stripe: {", "moons: {noise: 0.1, ")
    suite = SUITE.replace("[stripe, mine]", "[moons]").replace("stretch", "stretched")
    tiny_cells.configure(tmp_path, params.replace("  mine: {source: table, path: mine.csv}\n", ""), suite)
    path = {"PYTHONPATH": str(package)}
    assert "stretched/plane on vectors" in flowbench(tmp_path, "check", "stretched", **path)
    assert "scale: vector" in flowbench(tmp_path, "check", "scale", **path)
    run(tmp_path, "-m", "stages.code", **path)
    listing = json.loads((tmp_path / "code/flows/stretched.json").read_text(encoding="utf-8"))
    assert {"stretching/stretched.py", "stretching/scale.py", "flowbench/core/maps.py"} <= listing.keys()
    run(tmp_path, "-m", "stages.download", "moons", **path)
    run(tmp_path, "-m", "stages.train", "tiny", "moons-stretched", **path)
    run(tmp_path, "-m", "stages.evaluate", "tiny", "moons-stretched", **path)
    metrics = json.loads((tmp_path / "results/tiny/moons-stretched/metrics.json").read_text(encoding="utf-8"))
    assert metrics["widest"] > 0


def test_two_of_one_name_are_named(tmp_path, package):
    (package / "stretching-1.0.dist-info/entry_points.txt").write_text(
        "[flowbench.flows]\nmaf = stretching.stretched\n", encoding="utf-8"
    )
    tiny_cells.configure(tmp_path)
    told = flowbench(tmp_path, "check", "maf", status=1, PYTHONPATH=str(package))
    assert "several plug-ins are called maf: " in told
    assert "stretching.stretched of stretching; rename all but one" in told
    assert "ok" in flowbench(tmp_path, "check", "realnvp", PYTHONPATH=str(package))


def test_a_broken_package_is_named_and_the_rest_works(tmp_path, package):
    (package / "stretching/stretched.py").write_text("1 / 0\n", encoding="utf-8")
    tiny_cells.configure(tmp_path, tiny_cells.PARAMS_TEXT.replace("flows:\n", "flows:\n  stretched: {small: {}}\n"))
    told = flowbench(tmp_path, "check", "stretched", status=1, PYTHONPATH=str(package))
    assert "stretched.py:1: ZeroDivisionError: division by zero" in told
    assert "Traceback" not in told
    assert "ok" in flowbench(tmp_path, "check", "realnvp", PYTHONPATH=str(package))


def test_a_plugin_folder_is_documented():
    assert "flows/<name>.py" in (Path(__file__).parents[1] / "plugins" / "README.md").read_text(encoding="utf-8")
