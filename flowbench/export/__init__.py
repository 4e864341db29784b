"""A trained flow in a folder of its own, which `flowbench.load` reads without DVC and without the repository.

=====================  ===============================================================================================
``flow.json``          how to build it, the digest of its weights, what was measured of it, and what it depends on
``flow.safetensors``   its weights
``README.md``          a model card
=====================  ===============================================================================================

`reading` needs torch, NumPy and safetensors alone; a continuous flow needs torchdiffeq and SciPy as well. `cells` and
`writing` read the records of a cell.
"""

from __future__ import annotations

from pathlib import Path

from flowbench.core import Generator
from flowbench.export.reading import FLOW, read


def rebuild(folder: Path, seed: int | None = None) -> Generator:
    """The model in the folder of a cell or of an export, on the CPU, in evaluation mode and without gradients.

    Args:
        seed: of a cell's trainings; the one that validated best if left out. An export has one.

    Raises:
        RecordError: a file is missing, of another format, damaged or altered.
        ConfigError: the folder is none of both, or there is no such seed.
    """
    if (folder / FLOW).is_file():
        model = read(folder, seed)
    else:
        from flowbench.export import cells  # and pydantic with it

        model = cells.read(folder, seed)
    return model.eval().requires_grad_(False)
