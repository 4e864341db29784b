"""Every layer and every flow shows how it is used, in an example that runs, and says what it is when it is printed."""

import doctest
import importlib
import inspect

import pytest

from flowbench import flows, layers
from flowbench.core import Event, FlowModule

LAYERS = [f"flowbench.layers.{name}" for name in layers.names()]
FLOWS = [f"flowbench.flows.{name}" for name in flows.names()]
MODULES = pytest.mark.parametrize("name", [*LAYERS, *FLOWS])
INSTANCES = {name: layer for name, layer, _ in layers.examples()}


def documented(name: str) -> list[object]:
    """What a module must show in use: a flow's builder, or the public maps of a layer's file."""
    module = importlib.import_module(name)
    if name in FLOWS:
        return [module.build]
    classes = [value for _, value in inspect.getmembers(module, inspect.isclass) if value.__module__ == name]
    return [value for value in classes if issubclass(value, FlowModule)]


@MODULES
def test_there_is_an_example(name):
    subjects = documented(name)
    assert subjects
    for subject in subjects:
        _, _, example = inspect.getdoc(subject).partition("\nExample:\n")
        assert ">>> " in example, f"{name}.{subject.__name__} needs an Example: in its docstring"


@MODULES
def test_the_examples_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, verbose=False)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", INSTANCES)
def test_a_layer_says_what_it_is(name):
    text = repr(INSTANCES[name])
    assert text.startswith(f"{type(INSTANCES[name]).__name__}(")
    assert len(text) < 2000


def test_a_model_names_its_map_its_prior_and_its_likelihood():
    text = repr(flows.build("maf", Event((2,)), {"layers": 1, "hidden": [8]}))
    for part in (
        "FlowModel(",
        "likelihood=exact",
        "event_shape=(2,)",
        "MaskedAutoregressive(",
        "Normal(",
        "Standardise(",
    ):
        assert part in text


def test_a_layer_names_its_settings():
    text = "\n".join(map(repr, INSTANCES.values()))
    for part in ("alpha=0.05", "tolerance=1e-10", "scale_limit=3.0", "order=[4, 3, 2, 1, 0]", "swap=True", "dims=5"):
        assert part in text
