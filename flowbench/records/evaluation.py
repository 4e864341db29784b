"""The record of an evaluation: one load and one save."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flowbench.metrics import METRICS, Measured
from flowbench.records.files import (
    LOG_PROB,
    METRICS_FILE,
    SEEDS_FILE,
    TIMINGS,
    Host,
    Part,
    read_csv,
    read_json,
    reading,
    refused,
    write_csv,
)
from flowbench.records.training import Training
from flowbench.runtime.files import write_json

if TYPE_CHECKING:
    import numpy as np


# Of ``seeds.csv``.
_COLUMNS = ("seed", "metric", "value", "unit", "n")


class Timings(Part):
    """The parts of an evaluation's record that depend on the host: metrics by seed and name.

    Attributes:
        git_commit: that was checked out, with ``-dirty`` where files differ from it; empty if unknown.
    """

    host: Host
    git_commit: str
    seeds: dict[int, dict[str, Measured]]


@dataclass(frozen=True)
class Evaluation:
    """How a cell was measured.

    Attributes:
        values: metric to seed to value; none of them depends on the host.
        timings: the metrics that do.
        not_measured: why a seed was measured in part.
        log_prob: by seed, the log-likelihood of each test example in nats, ``(n,)`` float32; an absent seed has none.
    """

    values: dict[str, dict[int, Measured]]
    timings: Timings
    not_measured: dict[int, str]
    log_prob: dict[int, np.ndarray]

    def save(self, folder: Path, training: Training) -> None:
        """Write all but the pictures, which are in ``folder / "pictures"`` already."""
        import numpy as np

        rows = [
            (seed, name, value, METRICS[name].unit, n)
            for name, by_seed in self.values.items()
            for seed, (value, n) in by_seed.items()
        ]
        order = {name: i for i, name in enumerate(METRICS)}
        rows.sort(key=lambda row: (row[0], order[row[1]]))
        write_csv(folder / SEEDS_FILE, _COLUMNS, rows)
        write_json(folder / TIMINGS, self.timings.model_dump())
        (folder / LOG_PROB).mkdir()
        for seed, log_prob in self.log_prob.items():
            np.save(folder / LOG_PROB / f"seed-{seed}.npy", log_prob.astype(np.float32), allow_pickle=False)
        write_json(folder / METRICS_FILE, self.summary(training))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a cell's evaluation from its folder; a `RecordError` says what is wrong with which file."""
        import numpy as np

        values: dict[str, dict[int, Measured]] = {}
        with reading(folder / SEEDS_FILE, folder):
            for seed, name, value, _, n in read_csv(folder / SEEDS_FILE, folder, _COLUMNS):
                if name not in METRICS:
                    raise refused(folder / SEEDS_FILE, folder, f"has {name}, and there is no such metric")
                values.setdefault(name, {})[int(seed)] = Measured(float(value), int(n))
        timings = read_json(folder / TIMINGS, Timings, folder)
        with reading(folder / METRICS_FILE, folder):
            not_measured = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8")).get("not_measured", {})
        log_prob = {}
        for path in sorted((folder / LOG_PROB).glob("seed-*.npy")):
            with reading(path, folder):
                log_prob[int(path.stem.removeprefix("seed-"))] = np.load(path, allow_pickle=False)
        return cls(values, timings, {int(seed): why for seed, why in not_measured.items()}, log_prob)

    def summary(self, training: Training) -> dict[str, Any]:
        """``metrics.json``: each steady metric combined over its seeds, and how many seeds were lost."""
        counts = {name: sum(s.status == name for s in training.seeds.values()) for name in ("diverged", "failed")}
        status = next((name for name, count in counts.items() if count), "finished")
        facts: dict[str, Any] = {"status": status, "seeds": len(training.seeds)} | counts
        if self.not_measured:
            facts |= {"status": "measured in part", "not_measured": dict(sorted(self.not_measured.items()))}
        # JSON has no infinity; "inf" is what `float` reads, and what DVC shows.
        return facts | {
            name: value if math.isfinite(value) else str(value) for name, value in combined(self.values).items()
        }


def combined(values: Mapping[str, Mapping[int, Measured]]) -> dict[str, float]:
    """Each metric as one number for all of its seeds, as the catalogue says."""
    return {
        name: METRICS[name].combine(measured.value for measured in by_seed.values())
        for name, by_seed in values.items()
        if by_seed
    }
