"""A flow and a layer of one's own, right and then broken in one place: ``flowbench check`` says what is wrong."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Normal
from typer.testing import CliRunner

from flowbench import certificates, cli, config, flows, layers
from flowbench.config import ConfigError
from flowbench.core import Event, FixedPrior, FlowSequential
from flowbench.layers.continuous import ContinuousFlow
from flowbench.layers.rescaling import Rescaling

ROOT = Path(__file__).parents[1]
LAYER = '''\
"""Radial map."""

import torch
from torch import nn
from torch.nn.functional import softplus

from flowbench.core import FlowModule


class Radial(FlowModule):
    """z = x + β (x - c) / (α + ‖x - c‖) (Rezende & Mohamed 2015, 1505.05770, equation 14)."""

    def __init__(self, dims: int):
        super().__init__()
        self.dims = dims
        self.centre = nn.Parameter(torch.randn(dims))
        self.raw = nn.Parameter(torch.zeros(2))

    def constants(self):
        alpha = softplus(self.raw[0])
        return alpha, softplus(self.raw[1]) - alpha

    def logdet(self, r):
        alpha, beta = self.constants()
        h = 1 / (alpha + r)
        return (self.dims - 1) * torch.log1p(beta * h) + torch.log1p(alpha * beta * h**2)

    def encode(self, x):
        alpha, beta = self.constants()
        r = (x - self.centre).norm(dim=1)
        z = x + (beta / (alpha + r))[:, None] * (x - self.centre)
        return z, self.logdet(r)

    def decode(self, z):
        alpha, beta = self.constants()
        s = (z - self.centre).norm(dim=1)
        b = alpha + beta - s
        r = (-b + (b**2 + 4 * alpha * s).sqrt()) / 2
        x = self.centre + (r / s)[:, None] * (z - self.centre)
        return x, -self.logdet(r)


def examples():
    return {"vector": (Radial(3), (3,))}
'''
FLOW = '''\
"""Radial flow."""

from pydantic import PositiveInt

from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import vector_flow
from flowbench.layers.my_radial import Radial


def build(event: Event, *, layers: PositiveInt) -> FlowModel:
    """Radial maps."""
    return vector_flow(event, [Radial(event.dims) for _ in range(layers)])
'''


def forget():
    for package in (flows, layers):
        sys.modules.pop(f"{package.__name__}.my_radial", None)
        vars(package).pop("my_radial", None)
    importlib.invalidate_caches()


@pytest.fixture
def radial(tmp_path, monkeypatch):
    """Write the layer and the flow, with a part of one of them replaced, where flowbench finds them."""
    monkeypatch.chdir(tmp_path)
    # Two edits within a second may have one size, and compiled files are known by time and size.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for package, text in ((flows, FLOW), (layers, LAYER)):
        folder = tmp_path / package.__name__.rpartition(".")[2]
        folder.mkdir()
        (folder / "my_radial.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    known = {"affine": {"plane": {}}, "my_radial": {"plane": {"layers": 2}}}
    monkeypatch.setattr(config, "load_here", lambda: SimpleNamespace(data={}, flows=known))
    forget()

    def change(file: str, old: str, new: str) -> None:
        path = tmp_path / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        forget()

    yield change
    forget()


def check(*arguments: str):
    return CliRunner().invoke(cli.app, ["check", *arguments], catch_exceptions=False)


def explained(output: str) -> dict[str, list[str]]:
    """What is said of each failed subject, in order."""
    found: dict[str, list[str]] = {}
    subject = ""
    for line in output.splitlines():
        if line.endswith("  FAILED"):
            subject = re.split(r" {2,}", line)[0]
            found[subject] = []
        elif line.startswith("    ") and subject:
            found[subject].append(line.strip())
    return found


def test_as_it_stands_it_passes(radial):
    result = check("my_radial")
    assert result.exit_code == 0
    assert re.findall(r"^my_radial.*?(?= {2})", result.output, re.MULTILINE) == [
        "my_radial: vector",
        "my_radial/plane on vectors",
        "my_radial/plane on images",
    ]


NUMBER = r"-?\d\S*"
LINE = r"layers/my_radial\.py:\d+: "
WRONG_MAPS = {
    "encode's sign": (
        "return z, self.logdet(r)",
        "return z, -self.logdet(r)",
        [rf"encode's log-determinant: expected ({NUMBER}) \(autograd\), found ({NUMBER})"],
    ),
    "decode's sign": (
        "return x, -self.logdet(r)",
        "return x, self.logdet(r)",
        [rf"decode's log-determinant: expected ({NUMBER}) \(autograd\), found ({NUMBER})"],
    ),
    "decode": (
        "self.centre + (r / s)",
        "(r / s)",
        [r"decode\(encode\(x\)\) should be x: the largest error is \d", r"encode\(decode\(z\)\) should be z: .*\d"],
    ),
    "encode raises": (
        "z = x + (beta / (alpha + r))",
        "z = x + (beta / (alpha + s))",
        [rf"encode of Radial \(layers/my_radial\.py\): {LINE}NameError: name 's' is not defined"],
    ),
    "decode raises": (
        "r = (-b",
        "r = 1 / 0 + (-b",
        [rf"decode of Radial \(layers/my_radial\.py\): {LINE}ZeroDivisionError: division by zero"],
    ),
    "no decode": (
        "def decode",
        "def decod",
        [r"decode of Radial \(.*\): .*NoSuchDirectionError: Radial has no decode"],
    ),
    "another latent": (
        "return z, self",
        "return z[:, :1], self",
        [r"encode of Radial \(.*\): expected 8 events of \d+ numbers each, .*; found the shape \(8, 1\)"],
    ),
    "no pair": (
        "return z, self.logdet(r)",
        "return z",
        [r"encode of Radial \(.*\): expected a pair of tensors \(image, log-determinant\), found a tensor of .*"],
    ),
    "a scalar log-determinant": (
        "return z, self.logdet(r)",
        "return z, self.logdet(r).sum()",
        [r"encode of Radial \(.*\): expected a log-determinant of shape \(batch,\) = \(8,\), found \(\)"],
    ),
    "in place": (
        "def encode(self, x):",
        "def encode(self, x):\n        x.mul_(1.0)",
        [r"encode of Radial .* in place; .*"],
    ),
    "cut from autograd": ("return z, self", "return z.detach(), self", [r".*RuntimeError: .*grad.*"]),
}


@pytest.mark.parametrize("mistake", WRONG_MAPS)
def test_a_wrong_map_is_explained(radial, mistake):
    old, new, lines = WRONG_MAPS[mistake]
    radial("layers/my_radial.py", old, new)
    result = check("my_radial")
    assert result.exit_code == 1
    found = explained(result.output)
    assert set(found) == {"my_radial: vector", "my_radial/plane on vectors", "my_radial/plane on images"}
    for said in found.values():
        assert len(said) == len(lines)
        for line, pattern in zip(said, lines, strict=True):
            assert re.match(pattern, line), line
    # A flow is a chain of several maps; of the layer alone, the sign is all that differs.
    if "sign" in mistake:
        (line,) = found["my_radial: vector"]
        expected, value = map(float, re.fullmatch(lines[0], line).groups())
        assert value == pytest.approx(-expected)
    if "raises" in mistake:
        number = int(re.search(r"my_radial\.py:(\d+)", found["my_radial: vector"][0])[1])
        assert new in (Path("layers/my_radial.py").read_text(encoding="utf-8").splitlines()[number - 1])


UNREGISTERED = {
    "attribute": ("self.centre = torch.randn(dims)", r"the tensor centre \(use nn.Parameter or register_buffer\)"),
    "list": (
        "self.both = [torch.randn(dims), {'a': (torch.zeros(1),)}]\n        self.centre = nn.Parameter(self.both[0])",
        r"the tensor both\[0\] \(.*\), the tensor both\[1\]\['a'\]\[0\] \(.*\)",
    ),
    "module in a list": (
        "self.net = [nn.Linear(dims, 1)]\n        self.centre = nn.Parameter(torch.randn(dims))",
        r"the module net\[0\] \(use nn.ModuleList or nn.ModuleDict\)",
    ),
}


@pytest.mark.parametrize("kind", UNREGISTERED)
def test_what_is_not_registered_is_named(radial, kind):
    new, named = UNREGISTERED[kind]
    radial("layers/my_radial.py", "self.centre = nn.Parameter(torch.randn(dims))", new)
    result = check("my_radial")
    assert result.exit_code == 1
    wanted = rf"layers/my_radial\.py: Radial holds what torch does not train, save or move to a GPU: {named}"
    for said in explained(result.output).values():
        (line,) = said
        assert re.fullmatch(wanted, line), line


def test_registered_things_may_be_listed_and_fixed_priors_hold_distributions():
    module = Rescaling((2,))
    module.aliases = [module.log_scale, {"all": module}]
    module.prior = FixedPrior(Normal(torch.zeros(2), torch.ones(2)))
    module.counts = torch.zeros(2, dtype=torch.long)
    certificates.require_registered(FlowSequential(module))
    module.base = Normal(torch.zeros(2), torch.ones(2))
    with pytest.raises(ConfigError, match=r"the distribution base \(use FixedPrior\)"):
        certificates.require_registered(nn.Sequential(module))


FILES = {
    "build raises": (
        "return vector_flow",
        "return 1 / 0, vector_flow",
        r"flows/my_radial\.py:12: ZeroDivisionError: division by zero \(in build of the flow my_radial for .*\)",
    ),
    "build returns None": (
        "return vector_flow",
        "vector_flow",
        r"flows/my_radial\.py: expected build\(event, \*, \.\.\.\), which returns a model such as a FlowModel; "
        r"it returned None",
    ),
    "build returns a list": (
        "return vector_flow",
        "return [], vector_flow",
        r"flows/my_radial\.py: .*; it returned \(\[\], .*",
    ),
    "build is missing": (
        "def build",
        "def make",
        r"flows/my_radial\.py: add build\(event, \*, \.\.\.\), which returns a model.*",
    ),
    "bild": (
        "def build",
        "def bild",
        r"flows/my_radial\.py: add build\(.*; it has 'bild', which must be called 'build'",
    ),
    "build is no function": ("def build", "build = 3\n\n\ndef other", r"flows/my_radial\.py: add build\(.*"),
    "no event": (
        "event: Event, *, layers",
        "*, layers",
        r"flows/my_radial\.py: expected build\(event, .*too many positional.*",
    ),
    "no type": (
        "layers: PositiveInt)",
        "layers)",
        r"flows/my_radial\.py: the option 'layers' of build\(\) needs a type, such as layers: int",
    ),
    "a type that is no value": (
        "layers: PositiveInt)",
        "layers: Radial)",
        r"flows/my_radial\.py: the option 'layers' of build\(\) has a type that no YAML can hold: .*Radial.*",
    ),
    "a type that does not exist": (
        "layers: PositiveInt)",
        "layers: 'Positive')",
        r"flows/my_radial\.py: a type of an option of build\(\) cannot be evaluated: name 'Positive' is not defined",
    ),
    "syntax": (
        "return vector_flow(",
        "return vector_flow((",
        r"flows/my_radial\.py:12: SyntaxError: '\(' was never closed .*",
    ),
    "import": (
        "from pydantic import PositiveInt",
        "from pydantic import PositveInt",
        r"flows/my_radial\.py:3: ImportError: cannot import name 'PositveInt' from 'pydantic' .*",
    ),
    "name": ('"""Radial flow."""', "nothing", r"flows/my_radial\.py:1: NameError: name 'nothing' is not defined .*"),
    "no dequantisation": (
        "return vector_flow(event, [Radial(event.dims) for _ in range(layers)])",
        "model = vector_flow(event, [Radial(event.dims) for _ in range(layers)])\n"
        "    model.dequantise = None\n    return model",
        r"flows/my_radial\.py: build makes a model without dequantisation for integer data",
    ),
    "transform_input": (
        "return vector_flow(event, [Radial(event.dims) for _ in range(layers)])",
        "model = vector_flow(event, [Radial(event.dims) for _ in range(layers)])\n"
        "    model.transform_input = lambda x: x / None\n    return model",
        r"params\.yaml: flows\.my_radial\.plane: transform_input of the model: flows/my_radial\.py:13: TypeError: .*",
    ),
}


@pytest.mark.parametrize("mistake", FILES)
def test_a_broken_flow_is_explained(radial, mistake):
    old, new, wanted = FILES[mistake]
    radial("flows/my_radial.py", old, new)
    result = check("my_radial")
    assert result.exit_code == 1
    found = explained(result.output)
    found.pop("my_radial: vector", None)
    assert found
    for said in found.values():
        (line,) = said
        assert re.fullmatch(wanted, line), line
    event = Event((1, 8, 8), levels=17)
    with pytest.raises(ConfigError) as error:
        certificates.require_sound("my_radial", event, {"layers": 2}, "params.yaml: flows.my_radial.plane")
    assert re.fullmatch(wanted, str(error.value))


BROKEN_LAYERS = {
    "no examples": (
        "def examples",
        "def exampels",
        r"layers/my_radial\.py: add examples\(\), which returns a dictionary .*",
    ),
    "examples raise": (
        "Radial(3), ",
        "Radial(), ",
        r"layers/my_radial\.py:\d+: TypeError: .*'dims' \(in examples\(\)\)",
    ),
    "examples of another kind": (
        '{"vector": (Radial(3), (3,))}',
        "Radial(3)",
        r"layers/my_radial\.py: expected examples\(\).*",
    ),
    "no shape": ("(Radial(3), (3,))", "(Radial(3), 3)", r"layers/my_radial\.py: expected examples\(\).*"),
    "syntax": ("def examples():", "def examples()", r"layers/my_radial\.py:\d+: SyntaxError: expected ':' .*"),
}


@pytest.mark.parametrize("mistake", BROKEN_LAYERS)
def test_a_broken_layer_is_explained(radial, mistake):
    old, new, wanted = BROKEN_LAYERS[mistake]
    radial("layers/my_radial.py", old, new)
    found = explained(check("my_radial").output)
    (line,) = found["my_radial"]
    assert re.fullmatch(wanted, line), line


@pytest.mark.parametrize("file", ["flows/my_radial.py", "layers/my_radial.py"])
def test_a_broken_file_does_not_stop_the_check_of_others(radial, monkeypatch, file):
    radial(file, "import", "imprt")
    assert check("affine").exit_code == 0
    assert not {"flowbench.flows.my_radial", "flowbench.layers.my_radial"} & set(sys.modules)
    # The others are checked elsewhere.
    monkeypatch.setattr(flows, "names", lambda: ["affine", "my_radial"])
    monkeypatch.setattr(layers, "names", lambda: ["actnorm", "my_radial"])
    result = check()
    assert result.exit_code == 1
    assert "actnorm: image" in result.output
    assert "affine/plane on images" in result.output
    for said in explained(result.output).values():
        assert re.match(rf"{file}:3: SyntaxError: invalid syntax ", said[0])
    assert "my_radial/plane" in explained(result.output)


def test_a_flow_that_accepts_no_event_is_reported(radial):
    radial(
        "flows/my_radial.py",
        "    return",
        "    from flowbench.core import ShapeError\n\n    raise ShapeError('no')\n    return",
    )
    ((name, (line,)),) = explained(check("my_radial").output).items()
    assert name == "my_radial/plane"
    assert line.count("params.yaml: flows.my_radial.plane = {'layers': 2}: for events of shape ") == 2


@pytest.mark.parametrize("mistake", ["decode's sign", "encode raises", "another latent"])
@pytest.mark.parametrize("event", [Event((2,)), Event((200,)), Event((3, 32, 32), levels=256)])
def test_training_refuses_what_the_check_would(radial, mistake, event):
    certificates.require_sound("my_radial", event, {"layers": 8}, "params.yaml: flows.my_radial.plane")
    old, new, (pattern,) = WRONG_MAPS[mistake]
    radial("layers/my_radial.py", old, new)
    with pytest.raises(ConfigError) as error:
        certificates.require_sound("my_radial", event, {"layers": 8}, "params.yaml: flows.my_radial.plane")
    wanted = pattern.replace("expected 8 events", r"expected \d+ events").replace(r"(8, 1\)", r"(\d+, 1\)")
    assert re.match(rf"params\.yaml: flows\.my_radial\.plane: the map is wrong: {wanted}", str(error.value))
    assert "\n" not in str(error.value)


def sound(flow: str, event: Event, configurations: dict) -> bool:
    """Whether training takes the flow in the first of its configurations that is for such events."""
    for name, options in configurations.items():
        try:
            certificates.require_sound(flow, event, options, f"params.yaml: flows.{flow}.{name}")
        except flows.EventError:
            continue
        return True
    return False


def test_training_takes_every_flow_and_baseline_that_is_right():
    known = config.load(ROOT / "params.yaml").flows
    event = Event((1, 28, 28), levels=256)
    assert [flow for flow in known if not sound(flow, event, known[flow])] == []


def test_fewer_digits_of_a_solution_still_show_a_mistake(monkeypatch):
    event, options = Event((2,)), {"hidden": [8], "tolerance": 1e-5}
    certificates.require_sound("cnf", event, options, "params.yaml: flows.cnf.plane")
    right = ContinuousFlow.decode
    monkeypatch.setattr(ContinuousFlow, "decode", lambda self, z: (right(self, z)[0], -right(self, z)[1]))
    with pytest.raises(ConfigError, match=r"flows\.cnf\.plane: the map is wrong: decode's log-determinant: expected "):
        certificates.require_sound("cnf", event, options, "params.yaml: flows.cnf.plane")


def test_maps_are_the_same_only_to_the_last_bit():
    module = Rescaling((2,))
    assert certificates.identity(module, (2,)) == certificates.identity(Rescaling((2,)), (2,))
    other = certificates.randomised(module)
    different = [
        certificates.identity(module, (2,)),
        certificates.identity(other, (2,)),
        certificates.identity(module, (3,)),
    ]
    other.log_scale = module.log_scale
    other.alpha = 0.5
    assert len({*different, certificates.identity(other, (2,))}) == 4
