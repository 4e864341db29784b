"""Measure one trained cell: ``python -m stages.evaluate moons-glow``."""

from flowbench import config
from stages import run


def main(cell: str) -> None:
    """Measure every trained seed of CELL, a key of the active suite, and write into results/CELL/."""
    params = config.load()
    config.known(cell, params.active.cells, "active.cells", "cell of the active suite")
    from flowbench.evaluation.cell import CellEvaluation

    CellEvaluation(params, cell).run()


if __name__ == "__main__":
    run(main)
