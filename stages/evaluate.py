"""Measure one trained cell: ``python -m stages.evaluate laptop moons-glow``."""

from stages._run import run


def main(suite: str, cell: str) -> None:
    """Measure every trained seed of CELL of SUITE, and write into results/SUITE/CELL/."""
    from flowbench.cell import Cell
    from flowbench.evaluation.cell import CellEvaluation

    CellEvaluation(Cell.resolve(suite, cell)).run()


if __name__ == "__main__":
    run(main)
