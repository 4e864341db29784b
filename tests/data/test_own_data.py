"""A source of one's own that reads a CSV: each mistake in the file is one line, before anything is written."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from flowbench import data
from flowbench.core import Event
from flowbench.data._table import read_table

CSV = Path("my data.csv")
NAME = "data.test_own_data (my data.csv)"


class Table(data.Source):
    """The last rows of the file are for validation and test."""

    columns: int = 3
    validation: int = 100
    test: int = 100

    @property
    def event(self):
        return Event((self.columns,))

    def files(self):
        return (CSV,)

    def rows(self):
        return read_table(CSV)

    def splits(self):
        rows = self.rows()
        held_out = len(rows) - self.validation - self.test
        train, validation, test = np.split(rows, [max(0, held_out), max(0, held_out) + self.validation])
        return {"train": train, "validation": validation, "test": test}


class WithNumpy(Table):
    def rows(self):
        return np.loadtxt(CSV, delimiter=",", skiprows=1)


@pytest.fixture(autouse=True)
def lines(tmp_path, monkeypatch) -> list[str]:
    """The lines of a good file: row k of a spreadsheet is ``lines[k - 1]``."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(1000, 3))
    lines = ["x,y,z", *(",".join(map(repr, row)) for row in x.tolist())]
    write(lines)
    return lines


def write(lines: list[str]) -> None:
    CSV.write_text("\n".join(lines) + "\n", encoding="utf-8")


def save(source: data.Source) -> dict[str, np.ndarray]:
    data.save(source, Path("data/table"))
    return data.read(Path("data/table"))


def complaint(source: data.Source) -> str:
    """The message of a source that is refused. It is one line, and nothing is left on the disk."""
    with pytest.raises(data.DataError) as error:
        save(source)
    assert "\n" not in str(error.value)
    assert not list(Path("data").glob("*"))
    return str(error.value)


PLANE = Table()


def test_a_good_table_is_saved_in_float32(lines, caplog):
    found = save(PLANE)
    expected = np.array([line.split(",") for line in lines[1:]], np.float64).astype(np.float32)
    assert np.array_equal(np.concatenate([found["train"], found["validation"], found["test"]]), expected)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert caplog.text == ""
    other = save(WithNumpy())
    assert all(np.array_equal(found[split], other[split]) for split in data.SPLITS)


@pytest.mark.parametrize("value", ["1e39", "-1e39", "inf", "word", "12.5 kg", "1,5", "True", "0x10", "5;6"])
def test_a_value_that_is_no_number_is_named(lines, value):
    cells = lines[49].split(",")
    lines[49] = f'{cells[0]},"{value}",{cells[2]}'
    write(lines)
    assert complaint(PLANE).startswith(
        f"my data.csv: row 50, column 'y': expected a number that is finite in float32, found {value!r}"
    )


@pytest.mark.parametrize("value", ["", " ", "NA", "nan", "NaN", "NULL", "null", "None", "N/A", "n/a", "#N/A", " NA"])
@pytest.mark.parametrize("others", [[], ["word"]], ids=["numbers", "a word beside"])
def test_what_pandas_reads_as_missing_is_missing(lines, value, others):
    cells = lines[49].split(",")
    lines[49] = f"{cells[0]},{value},{cells[2]}"
    write([f"{line},{(others or [str(i)])[0]}" if i else f"{line},w" for i, line in enumerate(lines)])
    with pytest.raises(data.DataError, match=r"no value in row 50, column 'y'; say missing: drop"):
        read_table(CSV)
    assert len(read_table(CSV, ["x", "y"], missing=True)) == 999


def test_a_column_of_words_is_named(lines):
    write([lines[0], *(f"{line.rpartition(',')[0]},True" for line in lines[1:])])
    assert complaint(PLANE).startswith("my data.csv: row 2, column 'z': expected a number")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:49], "1,2", *lines[50:]], "no value in row 50, column 'z'"),
        (lambda lines: [*lines[:49], "", *lines[50:]], "no value in row 50, column 'x'"),
        (lambda lines: [*lines[:49], "1,2,3,4", *lines[50:]], "row 50: expected 3 values, as row 1 has names, found 4"),
        (lambda lines: ["x,y", *lines[1:]], "row 2: expected 2 values, as row 1 has names, found 3"),
        (lambda lines: lines[1:], r"row 1: expected the names of the columns, found the numbers "),
        (lambda lines: [], "row 1: expected the names of the columns, found nothing"),
    ],
)
def test_a_table_of_another_form_is_one_line(lines, change, message):
    write(change(lines))
    with pytest.raises(data.DataError, match=rf"^my data\.csv: {message}"):
        save(PLANE)


def test_a_file_in_another_encoding_is_one_line(lines):
    CSV.write_bytes("x,y,größe\n1,2,3\n".encode("latin-1"))
    assert complaint(PLANE).startswith("my data.csv: expected a table, found: 'utf-8' codec")


def test_blank_lines_at_the_end_and_a_byte_order_mark_do_no_harm(lines):
    expected = read_table(CSV)
    CSV.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", ",,", "", ""]).encode())
    assert np.array_equal(read_table(CSV), expected)
    assert np.array_equal(read_table(CSV, ["x"]), expected[:, :1])  # by its name, which the mark does not change


def test_columns_are_chosen_by_name(lines):
    write([f"{line},{'label' if row else 'kind'}" for row, line in enumerate(lines)])
    assert np.array_equal(read_table(CSV, ["z", "x"]), read_table(CSV, ["x", "y", "z"])[:, [2, 0]])
    with pytest.raises(data.DataError, match=r"^my data\.csv: row 1: no column 'w'; there are x, y, z, kind$"):
        read_table(CSV, ["x", "w"])
    with pytest.raises(data.DataError, match=r"row 2, column 'kind': .* found 'label', and 999 more in this column"):
        read_table(CSV)


def test_a_word_is_one_line_for_a_source_that_reads_with_numpy_too(lines):
    lines[49] = "1,word,3"
    write(lines)
    line = 1 + Path(__file__).read_text(encoding="utf-8").split("return np.loadtxt(CSV")[0].count("\n")
    message = complaint(WithNumpy())
    assert message.startswith(f"{NAME}: test_own_data.py, line {line}: could not convert string 'word' to float64")


@pytest.mark.parametrize(("value", "found"), [("nan", "nan"), ("1e39", "1e+39")])
def test_a_value_is_found_in_what_any_source_hands_over(lines, value, found):
    lines[49] = f"1,2,{value}"
    write(lines)
    assert complaint(WithNumpy()) == (f"{NAME}: train[48, 2] = {found}: expected a value that is finite in float32")


def test_another_shape_than_declared_is_one_line():
    assert complaint(Table(columns=4)) == f"{NAME}: train: expected examples of shape (4,), found (3,)"


def test_a_missing_file_is_named():
    CSV.unlink()
    assert complaint(PLANE) == "my data.csv: no such file; data.test_own_data reads it"


def test_a_file_that_a_source_does_not_declare_is_named_too(monkeypatch):
    monkeypatch.setattr(WithNumpy, "files", data.Source.files)
    CSV.unlink()
    assert "my data.csv not found" in complaint(WithNumpy())
    monkeypatch.setattr(Table, "files", data.Source.files)
    assert complaint(PLANE) == "my data.csv: No such file or directory"


@pytest.mark.parametrize("value", ["3.5", "0", "1e-30"])
def test_a_constant_column_is_refused_unless_it_is_allowed(lines, value, caplog, monkeypatch):
    write([lines[0], *(f"{line.partition(',')[0]},{value},{line.rpartition(',')[2]}" for line in lines[1:])])
    fault = f"{NAME}: train[:, 1] is constant: {np.float32(value)}"
    assert complaint(PLANE) == f"{fault}; leave it out, or set constant_features_allowed = True in the source"
    monkeypatch.setattr(Table, "constant_features_allowed", True)
    assert save(PLANE)["train"].shape == (800, 3)
    assert f"{fault}; bits per dim mean little" in caplog.text


def test_a_column_of_tiny_values_is_not_constant(lines):
    write([lines[0], *(",".join(f"{float(x) * 1e-30!r}" for x in line.split(",")) for line in lines[1:])])
    assert len(np.unique(save(PLANE)["train"])) > 2000


@pytest.mark.parametrize(
    ("sizes", "split", "found"),
    [
        ({"validation": 500, "test": 500}, "train", "2 examples or more, found 0"),
        ({"validation": 500, "test": 499}, "train", "2 examples or more, found 1"),
        ({"validation": 0, "test": 100}, "validation", "1 examples or more, found 0"),
    ],
)
def test_a_split_without_examples_names_the_options(sizes, split, found):
    message = complaint(Table(**sizes))
    keys = [f"data.test_own_data.{name} = {size}" for name, size in sizes.items()]
    remedy = f"lower {keys[0]} or {keys[1]}" if split == "train" else f"raise {keys[0]}"
    assert message == f"{NAME}: {split}: expected {found}; {remedy} in params.yaml"


@pytest.mark.parametrize(("dims", "train", "warned"), [(3, 2, True), (3, 99, True), (3, 100, False)])
def test_a_tiny_training_split_is_said(dims, train, warned, caplog):
    save(Table(columns=dims, validation=900 - train, test=100))
    assert caplog.text == "" if not warned else f"{NAME}: train: only {train} examples" in caplog.text


class Fixed(data.Source):
    """The same array in each split."""

    array: np.ndarray
    event: Event = Event((2,))

    def splits(self):
        return dict.fromkeys(data.SPLITS, self.array)


GREY = np.random.default_rng(0).integers(17, size=(200, 1, 4, 4), dtype=np.uint8)


def test_constant_pixels_of_images_are_as_they_are(caplog):
    images = GREY.copy()
    images[:, 0, 0, 0] = 0
    found = save(Fixed(event=Event((1, 4, 4), levels=17), array=images))
    assert found["train"].dtype == np.uint8
    assert np.array_equal(found["train"], images)
    assert caplog.text == ""


@pytest.mark.parametrize("level", [-1, 17, 255])
def test_a_level_that_does_not_exist_is_refused(level):
    images = GREY.astype(np.int16)
    images[7, 0, 1, 2] = level
    assert complaint(Fixed(event=Event((1, 4, 4), levels=17), array=images)) == (
        f"data.test_own_data: train[7, 0, 1, 2] = {level}: expected integers from 0 to 16"
    )


@pytest.mark.parametrize(
    ("array", "levels", "message"),
    [
        (GREY / 16, 17, "expected integers from 0 to 16, found an array of type float64"),
        (GREY.astype(str), None, "expected numbers, found an array of type <U3"),
        (GREY * 1j, None, "expected numbers, found an array of type complex128"),
        (np.float32(3), None, "expected examples of shape (1, 4, 4), found ()"),
    ],
)
def test_an_array_of_another_type_is_refused(array, levels, message):
    assert (
        complaint(Fixed(event=Event((1, 4, 4), levels=levels), array=array)) == f"data.test_own_data: train: {message}"
    )


def test_a_ragged_list_is_refused():
    message = complaint(Fixed(array=[[1, 2], [3]]))
    assert message.startswith("data.test_own_data: setting an array element")


def test_integers_without_levels_are_saved_as_float32():
    array = np.random.default_rng(0).integers(10**6, size=(200, 2))
    found = save(Fixed(array=array))["train"]
    assert found.dtype == np.float32
    assert np.array_equal(found, array.astype(np.float32))


def test_a_missing_split_is_named(monkeypatch):
    source = Fixed(event=Event((1, 4, 4), levels=17), array=GREY)
    monkeypatch.setattr(Fixed, "splits", lambda self: {"train": self.array, "test": self.array})
    assert complaint(source).endswith("expected the splits train, validation, test, found train, test")


def test_an_energy_may_have_any_number_of_training_examples(caplog):
    caplog.set_level(logging.WARNING)
    save(data.load("two_modes", train=1, validation=1, test=1))
    assert caplog.text == ""
