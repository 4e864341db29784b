"""Small tables in the formats in which the real ones are published."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile

import numpy as np

RNG = np.random.default_rng(0)
ROWS = 300


def labelled(columns: int, whole: bool, labels: str) -> tuple[np.ndarray, list[str]]:
    """Rows, some of which repeat another's features with the same label or with another."""
    rows = RNG.integers(16, size=(ROWS, columns)).astype(float) if whole else RNG.normal(size=(ROWS, columns)).round(4)
    rows[-40:] = rows[:40]
    found = [labels[i] for i in RNG.integers(len(labels), size=ROWS)]
    return rows, found[:-20] + found[20:40]


def number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def lines(rows: np.ndarray, labels: list[str]) -> list[str]:
    return [",".join([*map(number, row), label]) for row, label in zip(rows.tolist(), labels, strict=True)]


def fingerprint(rows: np.ndarray, labels: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines(rows, labels))).encode()).hexdigest()


def shuffled(rows: np.ndarray, labels: list[str]) -> tuple[np.ndarray, list[str]]:
    order = RNG.permutation(len(rows))
    return rows[order], [labels[i] for i in order]


def csv_gz(rows: np.ndarray, labels: list[str]) -> bytes:
    names = ",".join([*(f"x{i + 1}" for i in range(rows.shape[1])), "label"])
    return gzip.compress("\n".join([names, *lines(rows, labels), ""]).encode(), mtime=0)


def openml_files(
    number: int, url: str, rows: np.ndarray, labels: list[str], *, dot: str = "", beside: str = ""
) -> dict[str, bytes]:
    """What OpenML's API answers about a table, by path, with the ARFF file itself.

    Args:
        number: of the table.
        url: where the files are served.
        dot: what follows the names of the classes.
        beside: the name of a column before the others, which numbers the rows.
    """
    names = [*([beside] if beside else []), *(f"A{i}" for i in range(rows.shape[1]))]
    classes = [f"{label}{dot}" for label in labels]
    header = ["@relation table", *(f"@attribute {name} numeric" for name in names)]
    header.append(f"@attribute class {{{','.join(sorted(set(classes)))}}}")
    numbered = [[i, *row] if beside else row for i, row in enumerate(rows.tolist())]
    content = [",".join([*map(str, row), kind]) for row, kind in zip(numbered, classes, strict=True)]
    arff = "\n".join([*header, "@data", *content, ""]).encode()
    features = [
        {
            "index": str(i),
            "name": name,
            "data_type": "nominal" if name == "class" else "numeric",
            "is_target": "true" if name == "class" else "false",
            "is_ignore": "false",
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
        }
        for i, name in enumerate([*names, "class"])
    ]
    description = {
        "id": str(number),
        "name": "table",
        "version": "1",
        "description": "a table",
        "format": "ARFF",
        "status": "active",
        "url": f"{url}/data/v1/download/{number}/table.arff",
        "md5_checksum": hashlib.md5(arff).hexdigest(),
    }
    qualities = [{"name": "NumberOfInstances", "value": str(float(len(rows)))}]
    return {
        f"api/v1/json/data/{number}": json.dumps({"data_set_description": description}).encode(),
        f"api/v1/json/data/features/{number}": json.dumps({"data_features": {"feature": features}}).encode(),
        f"api/v1/json/data/qualities/{number}": json.dumps({"data_qualities": {"quality": qualities}}).encode(),
        f"data/v1/download/{number}/table.arff": arff,
    }


def npy(rows: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, rows)
    return content.getvalue()


def hdf5(splits: dict[str, np.ndarray]) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, rows in splits.items():
            file[name] = rows
    return content.getvalue()


class _Old:
    """An object that pickles as one of a class of an old pandas, which need not exist."""

    def __init__(self, name: str, args: tuple = (), state: object = None, called: bool = False):
        self.name, self.args, self.state, self.called = name, args, state, called


class _Writer(pickle._Pickler):
    """A pickler that writes `_Old` as what it stands for and, in protocol 2, texts and bytes as Python 2 does."""

    def save(self, obj, *arguments, **options):
        if self.proto == 2 and isinstance(obj, str | bytes):
            content = obj.encode() if isinstance(obj, str) else obj
            self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
            return None
        if not isinstance(obj, _Old):
            return super().save(obj, *arguments, **options)
        self.write(pickle.GLOBAL + obj.name.replace("/", "\n").encode() + b"\n")
        if obj.args or obj.called or obj.state is not None:
            super().save(obj.args)
            self.write(pickle.REDUCE if obj.called else pickle.NEWOBJ)
        if obj.state is not None:
            super().save(obj.state)
            self.write(pickle.BUILD)
        return None


def old_frame(columns: dict[str, np.ndarray], protocol: int = 2) -> bytes:
    """A data frame as pandas 0.19 pickled it: columns of one type are the rows of a block."""
    places: dict[str, list[int]] = {}
    for i, column in enumerate(columns.values()):
        places.setdefault(column.dtype.str, []).append(i)
    arrays = list(columns.values())
    blocks = []
    for where in places.values():
        values = np.array([arrays[i] for i in where])
        first, last = where[0], where[-1] + 1
        regular = where == list(range(first, last))
        slots = _Old("__builtin__/slice", (first, last, 1), called=True) if regular else np.array(where)
        blocks.append({"values": np.asfortranarray(values) if len(blocks) else values, "mgr_locs": slots})
    labels = np.array(list(columns), object)
    index = _Old("pandas.indexes.base/Index"), {"data": labels, "name": None}
    axes = [
        _Old("pandas.indexes.base/_new_Index", index, called=True),
        _Old("pandas.indexes.base/_new_Index", (index[0], {"data": np.arange(len(arrays[0]))}), called=True),
    ]
    state = (axes, [], [], {"0.14.1": {"axes": axes, "blocks": blocks}})
    manager = _Old("pandas.core.internals/BlockManager", state=state)
    content = io.BytesIO()
    frame = _Old("pandas.core.frame/DataFrame", state={"_typ": "dataframe", "_data": manager})
    _Writer(content, protocol).dump(frame)
    return content.getvalue()


def archive(members: dict[str, bytes], folder: str = "data/") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, member in members.items():
            info = tarfile.TarInfo(f"{folder}{name}")
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    return content.getvalue()
