"""A table of somebody's own with a flow beside it, for ``flowbench bench``."""

import numpy as np
import pytest

from flowbench import bench
from tests.bench.own import STRAIGHT


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table with a name that a path must quote, and a flow of one's own beside it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    rows = np.column_stack([x, x[:, 0] * rng.normal(size=400), rng.integers(0, 9, 400)])
    lines = ["a,b,c,d", *(f"{a},{b},{c},{d:.0f}" for a, b, c, d in rows)]
    path = tmp_path / "my table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "straight.py").write_text(STRAIGHT, encoding="utf-8")
    return path


@pytest.fixture
def quick(monkeypatch):
    """No certificates before a benchmark, and no expansion after it: the report of a table has both."""
    monkeypatch.setattr(bench.certificates, "require_sound", lambda *_: None)
    monkeypatch.setattr(bench.subprocess, "run", lambda *_, **__: None)
