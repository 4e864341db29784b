"""Train one cell: ``python -m stages.train laptop moons-glow``."""

from stages._run import run


def main(suite: str, cell: str) -> None:
    """Train every seed of CELL of SUITE, and write results/SUITE/CELL/."""
    from flowbench.cell import Cell
    from flowbench.training.cell import CellTraining

    CellTraining(Cell.resolve(suite, cell)).run()


if __name__ == "__main__":
    run(main)
