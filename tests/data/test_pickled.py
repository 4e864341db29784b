"""Data frames of an old pandas, read without running what their pickles ask for."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from flowbench.data import _pickled
from tests.data.table_files import old_frame

COLUMNS = {"Time": np.arange(5.0), "a": np.linspace(0, 1, 5), "count": np.arange(5), "b": np.linspace(2, -1, 5)}


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_columns_come_back_in_their_order(protocol):
    found = _pickled.read_frame(old_frame(COLUMNS, protocol))
    assert list(found) == list(COLUMNS)
    for name, column in COLUMNS.items():
        assert found[name].dtype == column.dtype
        assert np.array_equal(found[name], column)


VALUES = [
    None,
    True,
    False,
    0,
    -1,
    300,
    70_000,
    2**40,
    0.5,
    "text",
    "é",
    b"bytes",
    (),
    (1,),
    (1, 2),
    (1, 2, 3, 4),
    [],
    [1],
]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    "value", [*VALUES, VALUES, {"a": [1, {"b": (None, 2)}]}, ["x"] * 3000], ids=lambda v: repr(v)[:20]
)
def test_what_needs_no_code_comes_back_as_pickle_gives_it(value, protocol):
    assert _pickled.load(pickle.dumps(value, protocol)) == value


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_nothing_runs(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = _pickled.load(pickle.dumps([Evil()], protocol))
    assert [type(one) for one in found] == [_pickled.Inert]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        old_frame(COLUMNS)[:-200],
        old_frame(COLUMNS)[:200],
        pickle.dumps([1, 2]),
        pickle.dumps(Evil()),
        pickle.dumps(Evil(), 0),
        pickle.dumps(np.arange(3)),
        old_frame({"a": np.array(["words"] * 3, object)}).replace(b"_reconstruct", b"_sonstruct__"),
        b"\x80\x02}q\x00." + b"junk",
        b"\x80\x02].",
        b"\x80\x02R.",
        b"\x80\x02u.",
        b"\x80\x02h\x07.",
    ],
)
def test_what_is_no_such_frame_is_a_value_error(content):
    with pytest.raises(ValueError, match=r"^no pickle of a data frame"):
        _pickled.read_frame(content)
