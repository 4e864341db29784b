"""What papers report, and whether it may stand beside what was measured here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flowbench.report.frame import CellResult

# How bits per dim are measured here; a value that was measured in another way never stands beside ours.
PROTOCOL = {"dequantisation": "uniform", "split": "test", "levels": 256}
AUGMENTATIONS = ("horizontal_flips",)  # options of the budget that change what is learnt from
ANOTHER_MODEL = "another model"


def words(name: str, value: Any) -> str:
    """An option of a flow or of a budget: ``steps 32``, ``hidden 8 × 64``, ``no logit``."""
    if value is None or value is False:
        return f"no {name.replace('_', ' ')}" if name else "none"
    if value is True:
        return name.replace("_", " ") or "with"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value) or "none"  # names, such as those of columns
    elif isinstance(value, list) and len(set(value)) == 1:
        value = f"{len(value)} × {value[0]:,}"
    return f"{name.replace('_', ' ')} {value}".strip()


# Of the tables whose values are printed in nats; a report must not depend on the code of all data sets.
_COLUMNS = {"power": 6, "gas": 8, "hepmass": 21, "miniboone": 43, "bsds300": 63}


@dataclass(frozen=True)
class Published:
    """One value of ``published.yaml``, which says what the fields mean, or of ``published_tables.yaml``."""

    model: str
    paper: str
    year: int
    arxiv: str
    data: str
    value: float
    setting: str
    budget: str
    flow: str = ""
    when: Mapping[str, Any] = field(default_factory=dict)
    derived: str = ""
    differs: str = ""
    metric: str = "bits_per_dim"
    uncertainty: float | None = None
    likelihood: str = "exact"
    dequantisation: str = "uniform"
    split: str = "test"
    levels: int = 256

    def differences(self, cell: CellResult) -> list[str]:
        """What sets this value apart from a cell on the same data, in words; nothing where the settings agree."""
        different = []
        if self.metric == "bits_per_dim":
            ours = PROTOCOL | {"likelihood": cell.likelihood}
            different = [f"{name}: {theirs}" for name in ours if (theirs := getattr(self, name)) != ours[name]]
        if self.differs:
            different.append(self.differs)
        if self.flow != cell.flow:
            return [*different, ANOTHER_MODEL]
        # A baseline is fitted to the data as it is, whatever its budget says of training.
        augmented = {} if cell.baseline else {name: cell.params["budget"].get(name) for name in AUGMENTATIONS}
        options = augmented | cell.params["flow"]
        apart = [name for name, theirs in self.when.items() if options.get(name) != theirs]
        if "architecture" in apart:
            apart = ["architecture"]  # with which the meaning of the other options changes
        return different + [f"{words(name, self.when[name])}, here {words('', options.get(name))}" for name in apart]


@cache
def load() -> tuple[Published, ...]:
    """All values of ``published.yaml`` and ``published_tables.yaml``."""
    rows = [*_read("published.yaml"), *(one for row in _read("published_tables.yaml") for one in _in_bits(row))]
    return tuple(Published(**row) for row in rows)


def metrics(data: str) -> list[str]:
    """What papers report of a data set, by our names."""
    return list(dict.fromkeys(value.metric for value in load() if value.data == data))


def beside(cell: CellResult, metric: str = "bits_per_dim") -> list[Published]:
    """The published values whose settings agree with the cell's, the first the one to compare with."""
    return [value for value in _values(cell, metric) if not value.differences(cell)]


def context(cells: Sequence[CellResult], metric: str = "bits_per_dim") -> list[tuple[Published, list[str]]]:
    """The other values on the data set of ``cells``, each with what sets it apart from the nearest cell."""
    others = []
    for value in _values(cells[0], metric):
        apart = [value.differences(cell) for cell in cells]
        nearest = min(apart, key=lambda words: (ANOTHER_MODEL in words, len(words)))
        others += [(value, nearest)] if nearest else []
    return others


def _read(name: str) -> list[dict[str, Any]]:
    text = Path(__file__).parents[1].joinpath(name).read_text(encoding="utf-8")
    return YAML(typ="safe").load(text)


def _in_bits(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A model's values on several data sets, printed as log-likelihoods in nats, each in bits per dim."""
    for name, printed in row["nats"].items():
        nats, *spread = printed
        unit = _COLUMNS[name] * math.log(2)
        yield {key: value for key, value in row.items() if key != "nats"} | {
            "data": name,
            "value": -nats / unit,
            "uncertainty": spread[0] / unit if spread else None,
            "derived": f"converted from {' ± '.join(map(str, printed)).replace('-', '−')} nats",
        }


def _values(cell: CellResult, metric: str) -> list[Published]:
    return [value for value in load() if (value.data, value.metric) == (cell.data, metric)]
