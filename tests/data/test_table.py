"""Tables of one's own: what is unusual in a file is said, and decided by an option."""

from pathlib import Path

import numpy as np
import pytest

from flowbench import config, data
from flowbench.data._table import TableError

PATH = "mine.csv"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(n=500, columns=3):
    return np.random.default_rng(0).normal(size=(n, columns))


def write(x, names=None, path=PATH):
    rows = [",".join(names or [f"c{i}" for i in range(len(x[0]))]), *(",".join(map(str, row)) for row in x)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")


def table(**options):
    return data.load("mine", source="table", path=options.pop("path", PATH), **options)


def rows(splits):
    return np.concatenate([splits[name] for name in data.SPLITS])


def as_set(x):
    return {tuple(row) for row in x.tolist()}


def test_each_row_is_in_one_split_of_the_size_that_is_asked_for():
    write(x := numbers())
    source = table(validation=0.2, test=0.1)
    splits = source.splits()
    assert [len(splits[name]) for name in data.SPLITS] == [350, 100, 50]
    assert (source.name, source.event.shape) == ("mine", (3,))
    assert as_set(rows(splits)) == as_set(x.astype(np.float32))
    assert all(np.array_equal(splits[name], table(validation=0.2, test=0.1).splits()[name]) for name in data.SPLITS)
    assert not np.array_equal(splits["train"], x[:350].astype(np.float32))


def test_the_first_rows_train_where_the_order_counts():
    write(x := numbers())
    splits = table(split="in order").splits()
    assert np.array_equal(rows(splits), x.astype(np.float32))
    assert [len(splits[name]) for name in data.SPLITS] == [400, 50, 50]


def test_columns_are_chosen_and_ordered():
    write(x := numbers(), ["a", "b", "c"])
    splits = table(columns=["c", "a"], split="in order").splits()
    assert np.array_equal(rows(splits), x[:, [2, 0]].astype(np.float32))


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_other_kinds_of_files_hold_the_same(kind):
    write(x := numbers())
    if kind == "npz":
        np.savez("mine.npz", x=x)
    else:
        import pandas as pd

        pd.DataFrame(x, columns=["c0", "c1", "c2"]).to_parquet("mine.parquet")
    found, expected = table(path=f"mine.{kind}").splits(), table().splits()
    assert all(np.array_equal(found[name], expected[name]) for name in data.SPLITS)


def test_equal_rows_are_asked_about_and_stay_together():
    x = numbers()
    write(np.concatenate([x, x[:50], x[:50]]))
    with pytest.raises(data.DataError, match="100 of 600 rows stand in it before; say repeated: drop"):
        table().splits()
    assert len(rows(table(repeated="drop").splits())) == 500
    splits = table(repeated="keep").splits()
    assert len(rows(splits)) == 600
    kinds = [as_set(splits[name]) for name in data.SPLITS]
    assert not (kinds[0] & kinds[1])
    assert not (kinds[0] & kinds[2])
    assert not (kinds[1] & kinds[2])


def test_whole_numbers_are_asked_about():
    x = numbers()
    x[:, 1] = np.random.default_rng(1).integers(-3, 200, size=len(x))
    write(x)
    with pytest.raises(data.DataError, match="whole numbers alone in 'c1'; name each under dequantise"):
        table().splits()
    assert np.array_equal(rows(table(as_they_are=["c1"], split="in order").splits()), x.astype(np.float32))
    noisy = rows(table(dequantise=["c1"], split="in order").splits())
    assert np.array_equal(np.floor(noisy[:, 1]), x[:, 1])
    assert 0.4 < (noisy[:, 1] - x[:, 1]).mean() < 0.6
    assert np.array_equal(noisy[:, 0], x[:, 0].astype(np.float32))
    with pytest.raises(data.DataError, match="column 'c0' is under dequantise, and not all of its values are whole"):
        table(dequantise=["c0", "c1"]).splits()


@pytest.mark.parametrize("size", [1, 255, 2**16 + 1, 2**23 - 1])
def test_noise_leaves_no_whole_number(size):
    x = np.full((3000, 2), float(size))
    x[:, 0] = numbers(3000, 1)[:, 0]
    write(x)
    noisy = rows(table(dequantise=["c1"]).splits())
    assert (np.floor(noisy[:, 1]) == size).all()


def test_missing_values_are_asked_about():
    x = numbers().astype(object)
    x[7, 1] = ""
    write(x)
    with pytest.raises(data.DataError, match=r"no value in row 9, column 'c1'; say missing: drop"):
        table().splits()
    assert len(rows(table(missing="drop").splits())) == 499


def put(value, row=4, column=1):
    def change(lines):
        cells = lines[row].split(",")
        cells[column] = value
        return [*lines[:row], ",".join(cells), *lines[row + 1 :]]

    return change


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (put("nan"), {}, "no value in row 5, column 'c1'; say missing: drop"),
        (put("red"), {}, "found 'red'"),
        (put("1e39"), {}, "found '1e39'"),
        (put("inf"), {"missing": "drop"}, "row 5, column 'c1': .*found 'inf'"),
        (put("True"), {}, "found 'True'"),
        (put('"1,5"'), {}, "found '1,5'; write a point, not a comma, before the decimals"),
        (put("2024-05-01"), {}, "found '2024-05-01'; a date or a time must become a number"),
        (put("1.0,2.0"), {}, "row 5: expected 3 values, as row 1 has names, found 4"),
        (lambda lines: lines[1:], {}, "row 1: expected the names of the columns, found the numbers"),
        (lambda lines: ["a,b,a", *lines[1:]], {}, "row 1: two columns are called 'a'"),
        (lambda lines: ["a,,c", *lines[1:]], {}, "row 1: column 2 has no name"),
        (
            lambda lines: [line.replace(",", ";") for line in lines],
            {},
            "expected commas between the columns",
        ),
        (lambda lines: [], {}, "row 1: expected the names of the columns, found nothing"),
        (lambda lines: lines, {"columns": ["c9"]}, "columns: mine.csv has no column 'c9'; there are 'c0', 'c1', 'c2'"),
        (lambda lines: lines, {"dequantise": ["c9"]}, "dequantise: mine.csv has no column 'c9'"),
        (lambda lines: lines, {"validation": 0.6, "test": 0.4}, "must leave rows to train on"),
        (lambda lines: lines, {"dequantise": ["c1"], "as_they_are": ["c1"]}, "'c1' stands under dequantise and under"),
        (lambda lines: lines, {"path": "other.csv"}, "other.csv: No such file or directory"),
        (
            lambda lines: lines,
            {"path": "mine.txt"},
            "mine.txt: expected a file whose name ends in",
        ),
        (lambda lines: lines, {"splitt": "random"}, "data.mine = 'splitt': no such key; did you mean 'split'"),
        (lambda lines: lines[:2], {}, "train: expected 2 examples or more, found 1"),
        (lambda lines: lines[:1], {}, "train: expected 2 examples or more, found 0"),
    ],
)
def test_a_mistake_in_a_file_or_an_option_is_one_line(folder, change, options, message):
    write(numbers())
    with open(PATH, encoding="utf-8") as file:
        lines = change(file.read().splitlines())
    with open(PATH, "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    with pytest.raises((data.DataError, config.ConfigError), match=message) as error:
        data.save(table(**options), folder / "saved")
    assert "\n" not in str(error.value)
    assert not (folder / "saved").exists()


def test_a_constant_column_is_refused(folder):
    x = numbers()
    x[:, 2] = 2.5
    write(x)
    with pytest.raises(data.DataError, match="one value alone in 'c2'; leave it out of columns"):
        data.save(table(), folder / "saved")


def test_too_many_columns_are_refused_before_they_are_read():
    write(numbers(3, 100_000))
    with pytest.raises(config.ConfigError, match="has 100,000 columns; name at most 2,000 under columns"):
        table()
    assert rows(table(columns=["c7", "c99999"]).splits()).shape == (3, 2)


def test_a_byte_order_mark_is_no_part_of_a_name():
    write(x := numbers(), ["a", "b", "c"])
    Path(PATH).write_bytes(b"\xef\xbb\xbf" + Path(PATH).read_bytes())
    assert np.array_equal(rows(table(columns=["a"], split="in order").splits()), x[:, :1].astype(np.float32))


def test_one_column_is_a_table():
    write(numbers(200, 1))
    assert table().event.shape == (1,)
    assert rows(table().splits()).shape == (200, 1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, "expected one array, found x, y"),
        ({"x": np.zeros(3)}, r"expected numbers \(rows, columns\), found float64 \(3,\)"),
        ({"x": np.array([["a"]])}, "expected numbers"),
        ({"x": np.array([[{}]], dtype=object)}, "expected a table, found: Object arrays cannot be loaded"),
    ],
)
def test_an_array_file_of_another_form_is_one_line(arrays, message):
    np.savez("mine.npz", **arrays)
    with pytest.raises(data.DataError, match=message):
        table(path="mine.npz")


def test_text_in_a_parquet_file_is_named():
    import pandas as pd

    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}).to_parquet("mine.parquet")
    with pytest.raises(data.DataError, match="column 'b': expected numbers, found values of the type"):
        table(path="mine.parquet").splits()


def test_a_column_that_float32_cannot_resolve_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.csv"
    small, large = rng.normal(size=500), 1e7 + rng.normal(size=500)
    path.write_text("x,time\n" + "".join(f"{a},{b}\n" for a, b in zip(small, large, strict=True)), encoding="utf-8")
    with pytest.raises(data.DataError, match=r"column 'time' varies by .* about numbers up to .*; subtract a constant"):
        data.load("mine", source="table", path=str(path), repeated="keep").splits()
    assert len(data.load("mine", source="table", path=str(path), columns=("x",)).splits()["train"]) == 400


def test_all_that_is_wrong_is_told_at_once():
    x = numbers().astype(object)
    x[:, 0] = np.random.default_rng(1).integers(9, size=len(x))
    rest = {"day": "2024-05-01", "k": 7.5, "kind": "red", "price": "1;5", "none": "NA"}
    x = np.column_stack([x, *(np.full(len(x), value, dtype=object) for value in rest.values())])
    x[7:10, 1] = "NA"
    x[12] = x[11]
    write(x, ["rings", "b", "c", *rest])
    with pytest.raises(TableError) as error:
        table().splits()
    assert [(fault.kind, fault.columns) for fault in error.value.faults] == [
        ("value", ("day",)),
        ("value", ("kind",)),
        ("value", ("price",)),
        ("constant", ("none",)),
        ("missing", ()),
        ("repeated", ()),
        ("whole", ("rings",)),
        ("constant", ("k",)),
    ]
    assert str(error.value).startswith("mine.csv: 8 things must be decided: (1) row 2, column 'day': ")
    for text in (
        "a date or a time must become a number",
        "(5) no value in row 9, column 'b', and none in 2 more rows",
        "1 of 497 rows stand",
    ):
        assert text in str(error.value)
    decided = {"columns": ["rings", "b", "c"], "missing": "drop", "repeated": "drop", "dequantise": ["rings"]}
    assert len(rows(table(**decided).splits())) == 496
