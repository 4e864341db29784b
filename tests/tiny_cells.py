"""A suite of cells that train and are measured in a second, one of each kind, with the data that they need."""

from __future__ import annotations

import shutil
from pathlib import Path

# The processes of the seeds would import these one by one. A fork has what is imported here.
import matplotlib.figure  # noqa: F401
import scipy.optimize  # noqa: F401
import sklearn.datasets  # noqa: F401
import sklearn.mixture  # noqa: F401
import torchdiffeq  # noqa: F401

from flowbench import config, data
from flowbench.cell import Cell
from flowbench.config import PARAMS, suites
from flowbench.evaluation.cell import CellEvaluation
from flowbench.training.cell import CellTraining

SUITE = "tiny"
PARAMS_TEXT = """\
data:
  gaussian: {train: 500, validation: 200, test: 300, mean: [2.0, -1.0], std: [0.5, 1.5]}
  two_modes: {train: 100, validation: 100, test: 300}
  normal_to_moons: {train: 300, validation: 100, test: 200}
  digits: {validation: 250, test: 297}
flows:
  affine: {small: {}}
  cnf: {small: {hidden: [8], tolerance: 1e-3, max_evaluations: 2000}}
  flow_autoencoder:
    small: {flow_learns_by: likelihood, channels: [4], latent: 4, layers: 2, hidden: [8]}
  gaussian: {small: {}}
  iaf_distilled: {small: {layers: 1, hidden: [8]}}
  maf: {small: {layers: 1, hidden: [8]}, small-label: {layers: 1, hidden: [8], condition: label}}
  realnvp: {small: {layers: 2, hidden: [8]}}
budgets:
  tiny:
    train: &train {steps: 30, batch_size: 50, validate_every: 10, snapshot_every: 10}
    evaluate: &evaluate
      {noise_draws: 2, samples: 200, invertibility_points: 50, logdet_points: 2, grid: 40, throughput_seconds: 0.001}
  distillation:
    train: {<<: *train, steps: 100, learning_rate: 0.02, anneal_steps: 20}
    evaluate: *evaluate
  solver:
    train: {steps: 3, batch_size: 20}
    evaluate: {samples: 50, invertibility_points: 10, logdet_points: 2, grid: 10, throughput_seconds: 0.001}
"""
SUITE_TEXT = """\
about: one cell of each kind
seeds: [0, 1]
device: cpu
cells:
  - {data: [gaussian], config: small, budgets: {tiny: [affine, gaussian]}}
  - {data: [two_modes], config: small, budgets: {tiny: [realnvp]}}
  - {data: [normal_to_moons], config: small, budgets: {solver: [cnf]}}
  - data: [digits]
    config: small
    budgets: {tiny: [flow_autoencoder, maf-label], distillation: [maf, iaf_distilled]}
    teachers: {iaf_distilled: maf}
"""
VECTORS, BASELINE, ENERGY = "gaussian-affine", "gaussian-gaussian", "two_modes-realnvp"
CONTINUOUS, AUTOENCODER = "normal_to_moons-cnf", "digits-flow_autoencoder"
IMAGES, LABELLED, STUDENT = "digits-maf", "digits-maf-label", "digits-iaf_distilled"
TEACHER = IMAGES
# What depends on the host, and may differ from run to run.
TIMINGS = ("train_timings.json", "timings.json")


class Tiny:
    """The suite below ``root``, whose cells are trained and measured when they are first asked for."""

    def __init__(self, root: Path):
        self.root = root
        prepare(root)

    def cell(self, key: str) -> Cell:
        """A cell, resolved."""
        return resolve(self.root, key)

    def trained(self, key: str) -> Path:
        """The folder of a cell that has been trained."""
        cell = self.cell(key)
        if not (cell.folder / "trained").exists():
            if cell.names.teacher:
                self.trained(cell.names.teacher)
            CellTraining(cell).run()
        return cell.folder

    def measured(self, key: str) -> Path:
        """The folder of a cell that has been trained and measured."""
        folder = self.trained(key)
        if not (folder / "metrics.json").exists():
            CellEvaluation(self.cell(key)).run()
        return folder

    def copy(self, root: Path, *keys: str) -> Path:
        """A root of one's own at ``root``, to change: configuration, data, and the folders of some cells."""
        for folder in (*([self.trained(key).relative_to(self.root) for key in keys]), "suites", "data"):
            shutil.copytree(self.root / folder, root / folder, symlinks=True)
        shutil.copy(self.root / PARAMS, root)
        return root


def resolve(root: Path, key: str) -> Cell:
    """A cell of the suite below ``root``."""
    return Cell.resolve(SUITE, key, root)


def prepare(root: Path, params: str = PARAMS_TEXT, suite: str = SUITE_TEXT) -> None:
    """Write ``params.yaml``, ``suites/``, expanded, and ``data/`` below ``root``."""
    configure(root, params, suite)
    for name, options in config.load(root / PARAMS).data.items():
        data.save(data.load(name, **options), root / "data" / name)


def configure(root: Path, params: str = PARAMS_TEXT, suite: str = SUITE_TEXT) -> None:
    """Write ``params.yaml`` and ``suites/``, expanded, below ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    (root / PARAMS).write_text(params, encoding="utf-8")
    (root / "suites").mkdir(exist_ok=True)
    (root / suites.source(SUITE)).write_text(suite, encoding="utf-8")
    suites.write(suites.load(SUITE, config.load(root / PARAMS), root), root)


def edit(root: Path, old: str, new: str) -> None:
    """Replace text of ``params.yaml`` or of the suite's file, and expand the suite."""
    texts = [(root / path).read_text(encoding="utf-8") for path in (PARAMS, suites.source(SUITE))]
    assert any(old in text for text in texts), old
    configure(root, *(text.replace(old, new) for text in texts))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def steady(folder: Path) -> dict[str, bytes]:
    """`contents` without what depends on the host."""
    return {name: content for name, content in contents(folder).items() if Path(name).name not in TIMINGS}
