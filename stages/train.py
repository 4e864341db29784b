"""Train one cell: ``python -m stages.train moons-glow``."""

from flowbench import config
from stages import run


def main(cell: str) -> None:
    """Train every seed of CELL, a key of the active suite, and write results/CELL/."""
    params = config.load()
    config.known(cell, params.active.cells, "active.cells", "cell of the active suite")
    from flowbench.training.cell import CellTraining

    CellTraining(params, cell).run()


if __name__ == "__main__":
    run(main)
