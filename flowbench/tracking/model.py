"""A trained cell as a model of MLflow's, which scores and samples without this repository.

MLflow loads this file by itself as a script, and makes the model from it; nothing is unpickled.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from flowbench.core import FlowModel
from flowbench.export import rebuild
from flowbench.records.files import TRAINED, TRAINING
from flowbench.records.training import Training, weights_path

_PACKAGE = Path(__file__).resolve().parents[1]
# What a loaded model imports. The versions are those that it was trained with.
_REQUIREMENTS = ("torch", "torchdiffeq", "numpy", "scipy", "scikit-learn", "safetensors")
_ALSO = ("pydantic", "pandas", "typer", "ruamel.yaml", "threadpoolctl", "tqdm")


class TrainedFlow(PythonModel):
    """The seed of a cell that validated best.

    ``predict(x)`` gives the log-density in nats of each row of ``x`` ``(n, D)``, whose columns are the flattened
    features; ``predict(x, {"sample": n})`` gives ``n`` samples ``(n, D)`` and does not look at ``x``.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Build the flow and load its weights."""
        self.model = rebuild(Path(context.artifacts["cell"]))

    @torch.no_grad()
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Log-densities in nats ``(n,)``, or samples."""
        if n := int((params or {}).get("sample", 0)):
            return self.model.sample(n).flatten(1).numpy()
        if not isinstance(self.model, FlowModel):
            raise TypeError("this model has no density; ask for samples with params={'sample': n}")
        shape = self.model.event_shape or (-1,)
        x = torch.from_numpy(np.array(model_input, dtype=np.float32)).reshape(-1, *shape)
        return self.model.log_prob(x).numpy()


def save(folder: Path, target: Path) -> None:
    """Write the cell in ``folder`` as a model of MLflow's, with the code that it runs, to ``target``."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    training = Training.load(folder)
    found = training.provenance.versions
    with tempfile.TemporaryDirectory() as scratch:
        cell, code = Path(scratch, "cell"), Path(scratch, _PACKAGE.name)
        weights = weights_path(folder, training.best_seed)
        (cell / TRAINED).mkdir(parents=True)
        for path in (weights.with_name(TRAINING), weights):
            shutil.copy(path, cell / TRAINED)
        shutil.copytree(_PACKAGE, code, ignore=shutil.ignore_patterns("__pycache__", "report"))
        # MLflow would like an example of an input, and to know the version of pip.
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"):
            mlflow.pyfunc.save_model(
                target,
                python_model=__file__,
                artifacts={"cell": str(cell)},
                code_paths=[str(code)],
                pip_requirements=[f"{name}=={found[name]}" for name in _REQUIREMENTS if name in found] + [*_ALSO],
                signature=ModelSignature(params=ParamSchema([ParamSpec("sample", "long", 0)])),
            )


mlflow.models.set_model(TrainedFlow())
