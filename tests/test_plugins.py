"""Flows, layers, data and metrics of one's own: files below plugins/, and packages that are installed."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from flowbench import cli, flows, layers
from flowbench.config import plugins
from flowbench.records import closures
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
  - {data: [stripe], config: plane, budgets: {tiny: [stretch]}}
  - {data: [mine], config: plane, budgets: {tiny: [gaussian]}}
"""

# All stages of some cells in one process, which imports torch once.
RUN = """
import sys
from stages import code, download, evaluate, train

code.main()
for cell in sys.argv[1:]:
    download.main(cell.partition("-")[0])
    train.main("tiny", cell)
    evaluate.main("tiny", cell)
"""


@pytest.fixture
def root(tmp_path):
    tiny_cells.configure(tmp_path, PARAMS, SUITE)
    files = {"layers/scale": LAYER, "flows/stretch": FLOW, "data/stripe": DATA, "metrics/widest": METRIC}
    for path, text in files.items():
        file = tmp_path / "plugins" / f"{path}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    rows = "".join(f"{0.37 * i},{i * i % 11 + 0.25}\n" for i in range(77))
    (tmp_path / "mine.csv").write_text("a,b\n" + rows, encoding="utf-8")
    return tmp_path


def python(root, code, *arguments, **environment):
    """What a process of Python's prints that runs ``code`` in ``root``."""
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=root,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    return run.stdout


def metrics_of(root, cell):
    found = json.loads((root / f"results/tiny/{cell}/metrics.json").read_text(encoding="utf-8"))
    assert found["status"] == "finished"
    return found


def listing(root, name):
    return json.loads((root / f"code/{name}.json").read_text(encoding="utf-8"))


@pytest.mark.slow  # `tests/test_docs.py` does so as well, by the commands of the tutorial
def test_files_of_ones_own_are_trained_and_measured(root):
    python(root, RUN, "stripe-stretch", "mine-gaussian")
    assert metrics_of(root, "stripe-stretch")["widest"] > 0
    assert metrics_of(root, "mine-gaussian")["widest"] > 0
    assert {"plugins/flows/stretch.py", "plugins/layers/scale.py"} <= listing(root, "flows/stretch").keys()
    assert "plugins/data/stripe.py" in listing(root, "data/stripe")
    assert "flowbench/data/table.py" in listing(root, "data/mine")
    assert "plugins/metrics/widest.py" in listing(root, "stages/evaluate")
    assert "plugins/metrics/widest.py" not in listing(root, "stages/train")


@pytest.fixture
def here(root, monkeypatch):
    """The files of ``root`` as plug-ins of this process."""
    monkeypatch.chdir(root)
    for package, kind in ((flows, "flows"), (layers, "layers")):
        monkeypatch.setattr(package, "__path__", [*package.__path__, plugins.own(kind)])
    yield root
    for name in ("flowbench.flows.stretch", "flowbench.layers.scale"):
        module = sys.modules.pop(name, None)
        if module:
            vars(sys.modules[name.rpartition(".")[0]]).pop(name.rpartition(".")[2], None)


def test_their_code_is_in_the_listing_of_what_runs_it(here):
    def digests():
        closures.write(here)
        return json.loads((here / "flows" / "stretch.json").read_text(encoding="utf-8"))

    before = digests()
    assert "flowbench/flows/_assembly.py" in before
    assert "flowbench/layers/planar.py" not in before
    layer = here / "plugins/layers/scale.py"
    layer.write_text(LAYER.replace("return z *", "return 1.0 * z *") + "# And a comment.\n", encoding="utf-8")
    after = digests()
    assert [name for name in after if after[name] != before[name]] == ["plugins/layers/scale.py"]
    layer.write_text(LAYER + "# A comment alone.\n", encoding="utf-8")
    assert digests() == before


def check(name):
    run = CliRunner().invoke(cli.app, ["check", name])
    return run.exit_code, run.output + str(run.exception or "")


def test_they_are_certified(here):
    for name, subject in (("stretch", "stretch/plane on vectors"), ("scale", "scale: vector")):
        status, told = check(name)
        assert (status, subject in told) == (0, True), told


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
def test_a_broken_file_is_named_and_the_rest_works(here, file, text, message):
    (here / f"plugins/{file}.py").write_text(text, encoding="utf-8")
    status, told = check(file.partition("/")[2])
    assert (status, message in told) == (1, True), told
    assert check("rescaling")[0] == 0


def test_a_broken_metric_is_left_out_with_a_line(root):
    (root / "plugins/metrics/widest.py").write_text("METRICS = 1 / 0\n", encoding="utf-8")
    told = python(root, "from flowbench.metrics import METRICS; print('bits_per_dim' in METRICS)")
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


def test_an_installed_package_contributes(tmp_path, package):
    params = PARAMS.replace("stretch:", "stretched:").replace("stripe: {", "moons: {noise: 0.1, ")
    suite = SUITE.replace("[stripe]", "[moons]").replace("stretch", "stretched")
    (tmp_path / "mine.csv").write_text("a,b\n1.5,2\n", encoding="utf-8")
    tiny_cells.configure(tmp_path, params, suite)
    python(tmp_path, RUN, "moons-stretched", PYTHONPATH=str(package))
    assert metrics_of(tmp_path, "moons-stretched")["widest"] > 0
    found = listing(tmp_path, "flows/stretched").keys()
    assert {"stretching/stretched.py", "stretching/scale.py", "flowbench/core/maps.py"} <= found


@pytest.fixture
def installed(package, monkeypatch):
    """The package in this process."""
    monkeypatch.syspath_prepend(str(package))
    plugins.installed.cache_clear()
    yield package
    plugins.installed.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "stretching"]:
        del sys.modules[name]


def test_two_of_one_name_are_named(tmp_path, installed, monkeypatch):
    text = "[flowbench.flows]\nmaf = stretching.stretched\n"
    (installed / "stretching-1.0.dist-info/entry_points.txt").write_text(text, encoding="utf-8")
    tiny_cells.configure(tmp_path)
    monkeypatch.chdir(tmp_path)
    status, told = check("maf")
    assert status == 1
    assert "several plug-ins are called maf: " in told
    assert "stretching.stretched of stretching; rename all but one" in told
    assert check("realnvp")[0] == 0


def test_a_broken_package_is_named_and_the_rest_works(tmp_path, installed, monkeypatch):
    (installed / "stretching/stretched.py").write_text("1 / 0\n", encoding="utf-8")
    tiny_cells.configure(tmp_path, tiny_cells.PARAMS_TEXT.replace("flows:\n", "flows:\n  stretched: {small: {}}\n"))
    monkeypatch.chdir(tmp_path)
    status, told = check("stretched")
    assert status == 1
    assert "stretched.py:1: ZeroDivisionError: division by zero" in told
    assert check("realnvp")[0] == 0
