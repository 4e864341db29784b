"""Tables of the UCI repository, made here in the formats of the real ones: the same splits from everywhere."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flowbench import config, data
from flowbench.data import _fetch, _uci, letter, magic
from flowbench.data._fetch import DOWNLOADS, MIRROR
from tests.data import loopback
from tests.data.table_files import csv_gz, fingerprint, labelled, openml_files, shuffled

TABLES = {"magic": (magic.Magic, labelled(10, False, "gh")), "letter": (letter.Letter, labelled(16, True, "ABC"))}
each = pytest.mark.parametrize("name", list(TABLES))


@pytest.fixture
def server():
    with loopback.serving() as server:
        yield server


@pytest.fixture(autouse=True)
def published(server, monkeypatch, tmp_path):
    """Ours are taken for the published tables, and ``server`` for OpenML."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(_fetch, "TIMEOUT", 0.3)
    monkeypatch.setattr(_uci, "TIMEOUT", 0.3)
    monkeypatch.setattr(_uci, "OPENML", server.url)
    from sklearn.datasets import _openml

    monkeypatch.setattr(_openml, "time", SimpleNamespace(sleep=lambda seconds: None))
    for name in ("_DATA_INFO", "_DATA_FEATURES", "_DATA_QUALITIES"):
        monkeypatch.setattr(_openml, name, getattr(_openml, name).replace("https://www.openml.org", server.url))
    for source, table in TABLES.values():
        monkeypatch.setattr(source, "fingerprint", fingerprint(*table))


def openml(server, name: str, **options) -> None:
    source, table = TABLES[name]
    server.files |= openml_files(source.openml, server.url, *shuffled(*table), **options)


def mirror(server, monkeypatch, name: str, content: bytes | None = None) -> str:
    monkeypatch.setenv(MIRROR, f"{server.url}/mirror")
    path = f"mirror/uci/{name}.csv.gz"
    server.files[path] = csv_gz(*shuffled(*TABLES[name][1])) if content is None else content
    return path


def same(first, second) -> bool:
    return all(np.array_equal(first[split], second[split]) for split in data.SPLITS)


def left() -> list[Path]:
    return [path for path in Path().rglob("*") if path.is_file()]


@each
def test_the_same_splits_from_everywhere_in_any_order(name, server, monkeypatch, tmp_path):
    path = mirror(server, monkeypatch, name)
    from_mirror = data.load(name).splits()
    assert [asked for asked, _ in server.asked] == [path]
    monkeypatch.delenv(MIRROR)
    openml(server, name)
    assert same(data.load(name).splits(), from_mirror)
    (tmp_path / "folder/uci").mkdir(parents=True)
    (tmp_path / f"folder/uci/{name}.csv.gz").write_bytes(csv_gz(*shuffled(*TABLES[name][1])))
    monkeypatch.setenv(MIRROR, str(tmp_path / "folder"))
    for kept in (DOWNLOADS / name).iterdir():
        kept.unlink()
    assert same(data.load(name).splits(), from_mirror)


def test_openmls_copies_number_their_rows_and_put_dots_behind_classes(server):
    openml(server, "magic")
    plain = data.load("magic").splits()
    openml(server, "magic", dot=".", beside="ID")
    assert same(data.load("magic").splits(), plain)


@each
def test_features_are_those_of_the_table_in_the_shares_asked_for(name, server, monkeypatch):
    mirror(server, monkeypatch, name)
    source, (rows, _) = data.load(name, validation=0.2, test=0.3), TABLES[name][1]
    splits = source.splits()
    assert {split: array.dtype for split, array in splits.items()} == dict.fromkeys(data.SPLITS, np.float32)
    assert source.event.shape == (rows.shape[1],)
    assert source.units_are_arbitrary
    found = np.concatenate(list(splits.values()))
    found = np.floor(found) if name == "letter" else found
    assert sorted(found.tolist()) == sorted(rows.astype(np.float32).tolist())
    shares = [len(splits[split]) / len(rows) for split in data.SPLITS]
    assert shares == pytest.approx([0.5, 0.2, 0.3], abs=0.03)


@each
def test_equal_rows_stay_together_whatever_their_labels(name, server, monkeypatch):
    mirror(server, monkeypatch, name)
    splits = data.load(name).splits()
    splits = {split: np.floor(array) if name == "letter" else array for split, array in splits.items()}
    kinds = {split: {row.tobytes() for row in array} for split, array in splits.items()}
    assert sum(map(len, kinds.values())) == len(set.union(*kinds.values()))
    assert sum(map(len, splits.values())) > len(set.union(*kinds.values())), "the table has equal rows"


@each
def test_labels_stay_with_their_rows(name, server, monkeypatch):
    mirror(server, monkeypatch, name)
    rows, labels = TABLES[name][1]
    there = sorted((*row, label) for row, label in zip(rows.astype(np.float32).tolist(), labels, strict=True))
    found = []
    for features, kinds in data.load(name).labelled().values():
        features = np.floor(features) if name == "letter" else features
        found += [(*row, kind) for row, kind in zip(features.tolist(), kinds.tolist(), strict=True)]
    assert sorted(found) == there


def test_whole_numbers_have_noise_of_their_own_below_one(server, monkeypatch):
    mirror(server, monkeypatch, "letter")
    x = np.concatenate(list(data.load("letter").splits().values()))
    noise = x - np.floor(x)
    assert len(np.unique(noise)) > 0.99 * noise.size
    assert noise.mean(0) == pytest.approx(0.5, abs=5 * 0.29 / np.sqrt(len(x)))
    assert abs(np.corrcoef(noise, rowvar=False) - np.eye(16)).max() < 0.3


def test_another_name_is_another_split(server, monkeypatch):
    mirror(server, monkeypatch, "magic")
    assert not same(data.load("magic").splits(), data.load("mine", source="magic").splits())


def page(server, name: str) -> None:
    server.behaviour[f"api/v1/json/data/{TABLES[name][0].openml}"] = loopback.error_page


def page_as_arff(server, name: str) -> None:
    server.behaviour[f"data/v1/download/{TABLES[name][0].openml}/table.arff"] = loopback.error_page


def cut_short(server, name: str) -> None:
    server.behaviour[f"data/v1/download/{TABLES[name][0].openml}/table.arff"] = loopback.truncated


def no_such_table(server, name: str) -> None:
    server.files.clear()


def failing(server, name: str) -> None:
    server.behaviour[f"api/v1/json/data/features/{TABLES[name][0].openml}"] = loopback.failing


def silent(server, name: str) -> None:
    server.behaviour[f"data/v1/download/{TABLES[name][0].openml}/table.arff"] = loopback.stalling


def another_table(server, name: str) -> None:
    source, (rows, labels) = TABLES[name]
    server.files |= openml_files(source.openml, server.url, rows[:, :3], labels)


def another_value(server, name: str) -> None:
    source, (rows, labels) = TABLES[name]
    server.files |= openml_files(source.openml, server.url, rows + (np.arange(len(rows)) == 7)[:, None], labels)


def another_label(server, name: str) -> None:
    source, (rows, labels) = TABLES[name]
    server.files |= openml_files(source.openml, server.url, rows, [labels[1], *labels[1:-1], "A"])


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (page, "expected a table, found JSONDecodeError: "),
        (page_as_arff, "expected a table, found ValueError: The md5 checksum"),
        (cut_short, "expected a table, found ValueError: The md5 checksum"),
        (no_such_table, "expected a table, found HTTPError: HTTP Error 404"),
        (failing, "expected a table, found HTTPError: HTTP Error 500"),
        (silent, "expected a table, found TimeoutError: .*timed out"),
        (another_table, r"expected rows of 16 numbers, found \(300, 3\)"),
        (another_value, r"expected a table with fingerprint \w{64}, found 300 rows with fingerprint \w{64}"),
        (another_label, r"expected a table with fingerprint \w{64}, found 300 rows with fingerprint \w{64}"),
    ],
)
def test_what_openml_answers_wrongly_is_one_line_and_leaves_nothing(fault, found, server):
    openml(server, "letter")
    fault(server, "letter")
    with pytest.raises(data.DataError, match=f"^letter: no place has it; {MIRROR} may name another:") as error:
        data.save(data.load("letter"), Path("data/letter"))
    _, place, reason = str(error.value).splitlines()
    assert place == f"- {server.url}/d/6"
    assert re.match(f"  {re.escape(server.url)}/d/6: {found}", reason)
    assert left() == []


def flipped(content: bytes, place: int) -> bytes:
    """With one byte that is another."""
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<html>", "expected a gzipped table, found BadGzipFile"),
        (csv_gz(*TABLES["letter"][1])[:-300], "expected a gzipped table, found EOFError"),
        (flipped(csv_gz(*TABLES["letter"][1]), 20), "expected a gzipped table, found "),
        (
            csv_gz(TABLES["letter"][1][0][:, :9], TABLES["letter"][1][1]),
            r"expected rows of 16 numbers, found \(300, 9\)",
        ),
        (csv_gz(TABLES["letter"][1][0][1:], TABLES["letter"][1][1][1:]), "found 299 rows with fingerprint"),
        (gzip.compress(b""), r"expected rows of 16 numbers, found \(0,\)"),
    ],
)
def test_a_wrong_mirror_is_named_and_openml_asked(content, found, server, monkeypatch, caplog):
    openml(server, "letter")
    expected = data.load("letter").splits()
    path = mirror(server, monkeypatch, "letter", content)
    assert same(data.load("letter").splits(), expected)
    (warning,) = (record.message for record in caplog.records)
    assert re.match(f"letter: {re.escape(server.url)}/{path}: .*{found}", warning)
    assert left() == []


@pytest.mark.parametrize("options", [{"validation": 0.5, "test": 0.5}, {"test": 0.0}, {"test": 1.0}])
def test_shares_must_leave_rows_to_train_on(options):
    with pytest.raises(config.ConfigError, match=r"^params\.yaml: data\.magic"):
        data.load("magic", **options)
