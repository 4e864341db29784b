"""The file of a source of one's own: its fields are its options, and each mistake in it is one line."""

import sys

import pytest

from flowbench import config, data
from flowbench.core import Event

FILE = """\
import numpy as np
from pydantic import PositiveInt

from flowbench.core import Event
from flowbench.data import SampledSource


class Own(SampledSource):
    dims: PositiveInt
    scale: float = 1.0

    @property
    def event(self):
        if self.dims == 7:
            raise ValueError("seven is too many")
        return Event((self.dims,))

    def draw(self, n, rng):
        return self.scale * rng.random((n, self.dims))


source = Own
"""
OPTIONS = {"dims": 3, "train": 4, "validation": 2, "test": 2}


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """Writes the file of a source, with a part of it replaced, where flowbench finds it."""
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "flowbench.data.own", None)  # taken out again in the end
    del sys.modules["flowbench.data.own"]

    def write(old: str = "", new: str = "") -> None:
        assert old in FILE
        (tmp_path / "own.py").write_text(FILE.replace(old, new) if old else FILE, encoding="utf-8")

    return write


def test_the_fields_of_a_source_are_its_options(own_file):
    own_file()
    source = data.load("own", **OPTIONS)
    assert (source.name, source.event, source.scale, source.grid) == ("own", Event((3,)), 1.0, None)
    assert source.splits()["train"].shape == (4, 3)
    with pytest.raises(AttributeError):
        source.scale = 2.0


def test_a_file_may_offer_a_function_instead(own_file):
    own_file(
        "source = Own",
        "def source(*, size: PositiveInt):\n    return Own(dims=2, train=size, validation=size, test=size)",
    )
    assert data.load("own", size=5).splits()["test"].shape == (5, 2)
    with pytest.raises(
        config.ConfigError, match=r"^params\.yaml: data\.own\.size = 0: input should be greater than 0$"
    ):
        data.load("own", size=0)


@pytest.mark.parametrize(
    ("old", "new", "options", "message"),
    [
        ("", "", {"dims": 0}, "params.yaml: data.own.dims = 0: input should be greater than 0"),
        ("", "", {"scal": 2.0}, "params.yaml: data.own = 'scal': no such key; did you mean 'scale'?"),
        ("", "", {"event": [2]}, "params.yaml: data.own = 'event': no such key; choose from "),
        ("", "", {"dims": 7}, "seven is too many"),
        ("def event", "def evnt", {}, "Own does not say what an example looks like"),
        ("source = Own", "", {}, "own.py: add source = ..., with the class of the source"),
        ("dims: PositiveInt", "dims: np.ndarray", {}, "own.py: the option 'dims' of Own() has a type that no YAML"),
        ("dims: PositiveInt", "dims: 'Dims'", {}, "own.py: a type of an option of Own() cannot be evaluated: name 'D"),
    ],
)
def test_a_mistake_in_a_source_or_its_options_is_one_line(own_file, old, new, options, message):
    own_file(old, new)
    with pytest.raises(config.ConfigError) as error:
        data.load("own", **OPTIONS | options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
