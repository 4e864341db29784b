"""What NICE can reach: its volumes all grow alike, so that it can rearrange a normal density, and not reshape it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowbench import config, data, flows
from flowbench.numerics.quadrature import Grid

PARAMS = config.load(Path(__file__).parents[2] / "params.yaml")


def floor(log_density: torch.Tensor, grid: Grid) -> float:
    """The least KL(p ‖ q), in bits per dim, of a density p on a grid in the plane from any q = c g(f(x)), g normal.

    The best f gives the densest places the densest latents. With v the volume of the places that are denser,
    p is then compared with λ exp(-λ v), which a normal density is in v, and the best λ is 1 / E[v].
    """
    ordered = log_density[log_density > -1e3].sort(descending=True).values
    weights = ordered.exp() * grid.cell_area
    volume = (torch.arange(len(ordered)) + 0.5) * grid.cell_area
    rate = 1 / float((weights * volume).sum())
    return float((weights * (ordered - math.log(rate) + rate * volume)).sum()) / (2 * math.log(2))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("checkerboard", (1 - math.log(2)) / (2 * math.log(2))),  # of any uniform density
        pytest.param("moons", 0.0297, marks=pytest.mark.slow),
        ("eight_gaussians", 0.0),
    ],
)
def test_the_floor_of_nice(name, expected):
    source = data.load(name, **PARAMS.data[name])
    grid = replace(source.grid, size=1000)
    found = floor(grid.evaluate(source.log_density).double().flatten(), grid)
    assert found == pytest.approx(expected, abs=5e-4)


def test_no_nice_is_below_the_floor():
    """Of a density that a NICE can have, the floor is zero, whatever the NICE."""
    torch.manual_seed(1)
    flow = flows.build("nice", replace(data.load("moons", **PARAMS.data["moons"]).event), {"layers": 4, "hidden": [16]})
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    grid = Grid(-12.0, 12.0, 1200)
    with torch.no_grad():
        log_density = grid.evaluate(flow.log_prob).double().flatten()
    assert float(log_density.exp().sum() * grid.cell_area) == pytest.approx(1, abs=1e-3)
    assert floor(log_density, grid) == pytest.approx(0, abs=1e-3)
