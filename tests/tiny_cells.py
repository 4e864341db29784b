"""A configuration whose cells train and are measured in a second, with the data that they need."""

from __future__ import annotations

from pathlib import Path

from flowbench import config, data
from flowbench.config import Params

TEXT = """\
data:
  gaussian: {train: 500, validation: 200, test: 300, mean: [2.0, -1.0], std: [0.5, 1.5]}
  two_modes: {train: 100, validation: 100, test: 300}
  digits: {validation: 250, test: 297}
flows:
  affine: {plane: {}}
  flow_autoencoder:
    small: {flow_learns_by: likelihood, channels: [4], latent: 4, layers: 2, hidden: [8]}
  gaussian: {default: {}}
  iaf_distilled: {small: {layers: 1, hidden: [8]}}
  maf: {small: {layers: 1, hidden: [8]}}
  realnvp: {small: {layers: 2, hidden: [8]}}
budgets:
  tiny:
    train: {steps: 30, batch_size: 50, seeds: [0, 1, 2], validate_every: 10, snapshot_every: 10, device: cpu}
    evaluate:
      {noise_draws: 2, samples: 200, invertibility_points: 50, logdet_points: 2, grid: 40, throughput_seconds: 0.001}
  endless:
    train: {steps: 10000000, batch_size: 50, seeds: [0, 1], device: cpu}
    evaluate: {}
suites:
  tiny: &tiny
    name: tiny
    about: one cell of each kind
    data: [gaussian, two_modes, digits]
    cells:
      gaussian-affine: {data: gaussian, flow: affine, config: plane, budget: tiny}
      gaussian-affine-endless: {data: gaussian, flow: affine, config: plane, budget: endless}
      gaussian-gaussian: {data: gaussian, flow: gaussian, config: default, budget: tiny}
      two_modes-realnvp: {data: two_modes, flow: realnvp, config: small, budget: tiny}
      digits-maf: {data: digits, flow: maf, config: small, budget: tiny}
      digits-flow_autoencoder: {data: digits, flow: flow_autoencoder, config: small, budget: tiny}
    students:
      digits-iaf_distilled: {data: digits, flow: iaf_distilled, config: small, budget: tiny, teacher: digits-maf}
active: *tiny
"""


def prepare(root: Path) -> Params:
    """Write ``params.yaml`` and ``data/`` below ``root``."""
    (root / "params.yaml").write_text(TEXT, encoding="utf-8")
    params = config.load(root / "params.yaml")
    for name, options in params.data.items():
        data.save(data.load(name, **options), root / "data" / name)
    return params


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
