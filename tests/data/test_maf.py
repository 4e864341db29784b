"""The tables of the MAF paper, from small archives of the same layout; what the paper's rules make of them."""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from flowbench import data
from flowbench.data import SPLITS, _fetch, _maf
from flowbench.data._fetch import DOWNLOADS, MIRROR
from tests.data import loopback
from tests.data.table_files import archive, hdf5, npy, old_frame

RNG = np.random.default_rng(0)
NAMES = ["power", "gas", "hepmass", "miniboone", "bsds300"]
SENSORS = 10


def sensors() -> dict[str, np.ndarray]:
    """Time, the mixture and ten sensors: the first two are nearly the last two, so that eight are left."""
    values = RNG.normal(size=(403, SENSORS))
    values[:, :2] = 3 + 2 * values[:, -2:] + 0.01 * RNG.normal(size=(403, 2))
    return {
        "Time": np.arange(403.0),
        "Meth": RNG.normal(size=403),
        "Eth": RNG.normal(size=403),
        **{f"R{i}": column for i, column in enumerate(values.T)},
    }


def collisions(rows: int, beside: bool) -> np.ndarray:
    """A label and twenty-three features, of which two have few values; and in the test file one column more."""
    label = (np.arange(rows) % 3 > 0)[:, None]
    features = 5 + 2 * RNG.normal(size=(rows, 23))
    features[:, [4, 20]] = RNG.integers(3, size=(rows, 2))
    return np.hstack([label, features, *([np.zeros((rows, 1))] if beside else [])])


def csv(rows: np.ndarray) -> bytes:
    names = ",".join(["# label", *(f"f{i}" for i in range(rows.shape[1] - 1))])
    return "\n".join([names, *(",".join(map(repr, row)) for row in rows.tolist()), ""]).encode()


POWER = np.hstack([RNG.normal(3, 2, size=(211, 4)), RNG.integers(9, size=(211, 3)), np.arange(211)[:, None]])
GAS = sensors()
HEPMASS = {"train": collisions(330, False), "test": collisions(90, True)}
MINIBOONE = RNG.normal(4, 3, size=(157, 43))
BSDS300 = {split: RNG.normal(size=(n, 63)).astype(np.float32) for split, n in zip(SPLITS, (50, 7, 20), strict=True)}
MEMBERS = {
    "power/data.npy": npy(POWER),
    "mnist/mnist.pkl.gz": b"not wanted",
    "gas/ethylene_CO.pickle": old_frame(GAS),
    "hepmass/1000_train.csv": csv(HEPMASS["train"]),
    "hepmass/1000_test.csv": csv(HEPMASS["test"]),
    "miniboone/data.npy": npy(MINIBOONE),
    "BSDS300/BSDS300.hdf5": hdf5(BSDS300),
}
ROWS = {
    "power": (171, 19, 21),
    "gas": (327, 36, 40),
    "hepmass": (198, 22, 60),
    "miniboone": (128, 14, 15),
    "bsds300": (50, 7, 20),
}
PAPER = {name: importlib.import_module(f"flowbench.data.{name}").source.rows for name in NAMES}


@pytest.fixture
def server():
    with loopback.serving() as server:
        yield server


@pytest.fixture(autouse=True)
def published(server, monkeypatch, tmp_path):
    """Ours is taken for the paper's archive, and ``server`` for Zenodo and for a mirror that has nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(MIRROR, f"{server.url}/mirror")
    monkeypatch.setattr(_fetch, "TIMEOUT", 0.3)
    monkeypatch.setattr(_maf, "ZENODO", f"{server.url}/zenodo")
    for name, rows in ROWS.items():
        monkeypatch.setattr(importlib.import_module(f"flowbench.data.{name}").source, "rows", rows)
    serve(server, monkeypatch, archive(MEMBERS))


def serve(server, monkeypatch, content: bytes, path: str = "zenodo/data.tar.gz") -> None:
    server.files[path] = content
    monkeypatch.setattr(_maf, "MD5", hashlib.md5(content).hexdigest())


def in_three(rows: np.ndarray) -> dict[str, np.ndarray]:
    test = int(0.1 * len(rows))
    validation = int(0.1 * (len(rows) - test))
    cuts = [len(rows) - test - validation, len(rows) - test]
    return dict(zip(SPLITS, np.split(rows, cuts), strict=True))


def assert_splits(name: str, expected: dict[str, np.ndarray], precision: float = 1e-6) -> None:
    found = data.load(name).splits()
    assert {split: rows.shape for split, rows in found.items()} == {
        split: (n, data.load(name).event.dims) for split, n in zip(SPLITS, ROWS[name], strict=True)
    }
    for split, rows in found.items():
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, expected[split], rtol=precision, atol=precision)


def test_power_is_shuffled_dequantised_and_standardised_as_in_the_paper():
    rng = np.random.RandomState(42)
    order = np.arange(len(POWER))[:, None]
    rng.shuffle(order)
    rows = POWER[order[:, 0]][:, [0, 2, 4, 5, 6, 7]]
    for columns, unit in (([1], 0.01), ([0], 0.001), ([2, 3, 4], 1.0)):
        rows[:, columns] += unit * rng.rand(len(rows), len(columns))
    known = rows[: -int(0.1 * len(rows))]
    assert_splits("power", in_three((rows - known.mean(0)) / known.std(0)))


def test_gas_leaves_out_the_first_of_columns_that_are_alike():
    import pandas as pd

    frame = pd.DataFrame(GAS).drop(columns=["Time", "Meth", "Eth", "R0", "R1"])
    assert_splits("gas", in_three(((frame - frame.mean()) / frame.std()).to_numpy()))


def test_hepmass_keeps_continuous_features_of_the_signal():
    train = HEPMASS["train"][HEPMASS["train"][:, 0] == 1, 1:]
    test = HEPMASS["test"][HEPMASS["test"][:, 0] == 1, 1:-1]
    mean, deviation = train.mean(0), train.std(0, ddof=1)
    kept = [i for i in range(23) if i not in (4, 20)]
    train, test = (((rows - mean) / deviation)[:, kept] for rows in (train, test))
    held = int(0.1 * len(train))
    assert_splits("hepmass", {"train": train[:-held], "validation": train[-held:], "test": test})


def test_miniboone_is_standardised_by_all_but_the_test():
    known = MINIBOONE[: -int(0.1 * len(MINIBOONE))]
    assert_splits("miniboone", in_three((MINIBOONE - known.mean(0)) / known.std(0)))


def test_bsds300_is_as_the_archive_has_it():
    assert_splits("bsds300", BSDS300, 0.0)


def test_one_archive_is_for_all_and_nothing_else_is_kept(server):
    for name in NAMES:
        data.load(name).splits()
    assert [path for path, _ in server.asked] == ["mirror/maf/data.tar.gz", "zenodo/data.tar.gz"]
    assert kept() == [DOWNLOADS / "maf/data.tar.gz"]


def kept() -> list[Path]:
    return [path for path in Path().rglob("*") if path.is_file()]


@pytest.mark.parametrize("folder", ["data/", "./data/", ""])
def test_a_mirror_is_asked_first(folder, server, monkeypatch):
    del server.files["zenodo/data.tar.gz"]
    serve(server, monkeypatch, archive(MEMBERS, folder), "mirror/maf/data.tar.gz")
    assert_splits("bsds300", BSDS300, 0.0)
    assert [path for path, _ in server.asked] == ["mirror/maf/data.tar.gz"]


@pytest.mark.parametrize(
    "behaviour", [loopback.truncated, loopback.altered, loopback.another_file, loopback.error_page]
)
def test_an_archive_that_is_not_the_papers_is_refused(behaviour, server):
    server.behaviour["zenodo/data.tar.gz"] = behaviour
    assert_fails("miniboone", "expected (MD5|a file of data)", server)
    assert kept() == []


WHOLE = archive(MEMBERS)
CSV = ("hepmass/1000_train.csv", "hepmass/1000_test.csv")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("miniboone", WHOLE[: len(WHOLE) // 2], "expected an archive with miniboone/data.npy, found EOFError"),
        ("power", WHOLE[:40], "expected an archive with power/data.npy, found "),
        ("power", b"no archive at all", "expected an archive with power/data.npy, found ReadError"),
        ("power", archive({}), "expected an archive with data/power/data.npy, found none"),
        ("hepmass", archive({"hepmass/1000_train.csv": b""}), "expected an archive with data/hepmass/1000_test.csv, "),
        ("power", archive(MEMBERS, "elsewhere/"), "expected an archive with data/power/data.npy, found none"),
        ("power", archive({"power/data.npy": b"<html>"}), "expected the paper's power/data.npy, found: "),
        ("power", archive({"power/data.npy": npy(POWER)[:-9]}), "expected the paper's power/data.npy, found: "),
        (
            "power",
            archive({"power/data.npy": npy(POWER[:, :5])}),
            r"found: an array \(211, 5\) of float64 in the place",
        ),
        ("power", archive({"power/data.npy": npy(POWER[:99])}), r"expected splits of the paper's sizes \[\(171, 6\)"),
        ("gas", archive({"gas/ethylene_CO.pickle": b"words"}), "expected the paper's gas/ethylene_CO.pickle, found: "),
        ("gas", archive({"gas/ethylene_CO.pickle": old_frame({"a": np.ones(3)})}), "found: 'Meth'"),
        ("hepmass", archive(dict.fromkeys(CSV, b"")), "found: No col"),
        (
            "hepmass",
            archive(dict.fromkeys(CSV, csv(HEPMASS["train"]))),
            "found: 23 features to train on and 22 to test",
        ),
        ("hepmass", archive(dict.fromkeys(CSV, b"a,b\n1,word\n")), "found: could not convert string"),
        (
            "miniboone",
            archive({"miniboone/data.npy": npy(MINIBOONE.astype(str))}),
            r"found: an array \(157, 43\) of <U",
        ),
        ("bsds300", archive({"BSDS300/BSDS300.hdf5": b"no HDF5"}), "found: .*file signature not found"),
        ("bsds300", archive({"BSDS300/BSDS300.hdf5": hdf5({"train": np.ones((3, 63))})}), "found: .*validation"),
        (
            "bsds300",
            archive({"BSDS300/BSDS300.hdf5": hdf5(dict.fromkeys(SPLITS, np.ones(3)))}),
            r"found: an array \(3,\)",
        ),
    ],
)
def test_a_wrong_layout_is_one_line_and_nothing_is_written(name, content, found, server, monkeypatch):
    serve(server, monkeypatch, content)
    assert_fails(name, found, server)
    assert kept() == [DOWNLOADS / "maf/data.tar.gz"]


def assert_fails(name: str, found: str, server) -> None:
    with pytest.raises(data.DataError, match=f"^{name}: no place has it; {MIRROR} may name another:") as error:
        data.save(data.load(name), Path("data", name))
    _, mirror, not_found, zenodo, reason = str(error.value).splitlines()
    assert (mirror, zenodo) == (f"- {server.url}/mirror/maf/data.tar.gz", f"- {server.url}/zenodo/data.tar.gz")
    assert "404" in not_found
    assert re.search(found, reason)


def test_nothing_is_unpacked(server, monkeypatch, tmp_path):
    outside = {"../../../escaped": b"", "power/../../../../escaped": b""}
    serve(server, monkeypatch, archive(outside | MEMBERS))
    data.load("power").splits()
    assert not list(tmp_path.parent.rglob("escaped"))


@pytest.mark.parametrize("name", ["power", "gas", "hepmass", "miniboone"])
def test_the_papers_sizes_are_those_that_its_rules_give(name):
    train, validation, test = PAPER[name]
    assert validation == int(0.1 * (train + validation))
    assert test == int(0.1 * (train + validation + test)) or name == "hepmass"
