"""The published tables themselves, where the environment names a mirror that has them."""

import os
from pathlib import Path

import numpy as np
import pytest

from flowbench import config, data
from flowbench.data._maf import MafTable
from flowbench.data._uci import UciTable
from flowbench.runtime.mirror import MIRROR
from tests.data.available import can_be_had

OPTIONS = config.load(Path(__file__).parents[2] / "params.yaml").data
SOURCES = {name: data.load(name, **options) for name, options in OPTIONS.items()}
UCI = [name for name, source in SOURCES.items() if isinstance(source, UciTable)]
MAF = [name for name, source in SOURCES.items() if isinstance(source, MafTable)]
# Rows, how many of them repeat the features of another, and the range of whole numbers, as UCI describes them.
DESCRIBED = {
    "magic": (19_020, 115, None),
    "letter": (20_000, 1_332, (0, 15)),
    "pendigits": (10_992, 0, (0, 100)),
    "satimage": (6_435, None, (27, 157)),
}


@pytest.fixture
def splits(request, tmp_path, monkeypatch):
    source = SOURCES[request.param]
    if not can_be_had(source):
        pytest.skip(f"{MIRROR} names no mirror that has {source.name}")
    if "://" not in os.environ[MIRROR]:
        monkeypatch.setenv(MIRROR, str(Path(os.environ[MIRROR]).absolute()))
    monkeypatch.chdir(tmp_path)
    return source.name, data.load(source.name, **OPTIONS[source.name]).splits()


@pytest.mark.parametrize("splits", UCI, indirect=True)
def test_uci_tables_are_as_described_and_their_splits_disjoint(splits):
    name, splits = splits
    rows, repeated, limits = DESCRIBED[name]
    arrays = {split: np.floor(array) if limits else array for split, array in splits.items()}
    whole = np.concatenate(list(arrays.values()))
    assert len(whole) == rows
    kinds = {split: {row.tobytes() for row in array} for split, array in arrays.items()}
    assert sum(map(len, kinds.values())) == len(set.union(*kinds.values()))
    if repeated is not None:
        assert rows - len(set.union(*kinds.values())) == repeated
    if limits:
        assert (whole.min(), whole.max()) == limits
    assert [len(array) / rows for array in arrays.values()] == pytest.approx([0.8, 0.1, 0.1], abs=0.005)


@pytest.mark.parametrize("splits", UCI, indirect=True)
def test_splits_of_uci_tables_are_alike(splits):
    _, splits = splits
    train, test = splits["train"].astype(np.float64), splits["test"].astype(np.float64)
    off = (train.mean(0) - test.mean(0)) / (train.std(0) / np.sqrt(len(test)))
    assert abs(off).max() < 5


@pytest.mark.parametrize("splits", MAF, indirect=True)
def test_maf_tables_are_standardised(splits):
    name, splits = splits
    x = np.concatenate([splits["train"], splits["validation"]]).astype(np.float64)
    assert x.mean(0) == pytest.approx(0, abs=0.05)
    if name != "bsds300":
        assert x.std(0) == pytest.approx(1, abs=0.05)
