"""IAF distilled from a MAF: probability density distillation (van den Oord et al. 2018, 1711.10433)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import PositiveInt
from safetensors.torch import load_file

from flowbench.config import PARAMS, ConfigError
from flowbench.core import Event, FlowModel, ShapeError
from flowbench.flows import iaf, maf
from flowbench.flows._assembly import Alpha


class TeacherError(ConfigError):
    """A seed of the teacher was not trained to the end, so this seed of the student cannot be trained."""


class Student(FlowModel):
    """A density that is fast to sample and learns from its teacher, a MAF, which is fast to train.

    It sees no data. Training minimises KL(student ‖ teacher) over its own samples, whose density it knows.

    Args:
        model: the flow that learns.
        preprocessing: the number of maps before the learnt ones; teacher and student share them.
    """

    def __init__(self, model: FlowModel, preprocessing: int):
        super().__init__(model.transform, model.prior, dequantise=model.dequantise)
        self.preprocessing = preprocessing

    def share_preprocessing(self, teacher: FlowModel) -> None:
        """Copy the state of the teacher's preprocessing.

        Raises:
            ShapeError: the teacher has another logit.
        """
        mine, theirs = (model.transform[: self.preprocessing] for model in (self, teacher))
        alphas = [[getattr(map, "alpha", None) for map in maps.chain] for maps in (mine, theirs)]
        if alphas[0] != alphas[1]:
            raise ShapeError("the logit must be the teacher's")
        mine.load_state_dict(theirs.state_dict())

    def without_preprocessing(self, model: FlowModel) -> FlowModel:
        """The density of standardised vectors in ``model``, this one or its teacher, whose parameters it shares.

        A divergence is the same there. In data space grey levels would be rounded, and the logit would saturate.
        """
        return FlowModel(model.transform[self.preprocessing :], model.prior)


def build(event: Event, *, layers: PositiveInt = 5, hidden: list[PositiveInt], logit: Alpha = None) -> FlowModel:
    """The maps of `iaf`, to be trained on the density of a `maf` instead of on data.

    Args:
        layers: number of autoregressive maps.
        hidden: sizes of the hidden layers of each MADE.
        logit: α of the logit that integer data passes first, the teacher's; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    model = iaf.build(event, layers=layers, hidden=hidden, logit=logit)
    return Student(model, preprocessing=len(model.transform.chain) - 2 * layers)


def load_teacher(folder: Path, event: Event, seed: int, where: str) -> FlowModel:
    """A trained seed of a teacher, on the CPU.

    Args:
        folder: ``results/<cell>`` of a `maf`.
        event: of its data.
        where: the key in ``params.yaml`` that names the teacher, for messages.

    Raises:
        ConfigError: the cell has not been trained.
        TeacherError: this seed of the teacher was not trained, or it diverged or failed.
    """
    teacher_key = f"{PARAMS}: {where} = {folder.name!r}"
    try:
        training: dict[str, Any] = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        if (record := training["seeds"].get(str(seed))) is None:
            raise TeacherError(f"{teacher_key}: has no seed {seed}; give both the same, or choose another teacher")
        if (status := record["status"]) != "finished":
            raise TeacherError(f"{teacher_key}: seed {seed} of it has {status}; choose another teacher")
        weights = load_file(folder / "trained" / f"seed-{seed}.safetensors")
    except OSError:
        raise ConfigError(
            f"{teacher_key}: has not been trained; run `dvc repro train@{folder.name}`, or choose another teacher"
        ) from None
    teacher = maf.build(event, **training["provenance"]["params"]["flow"])
    teacher.load_state_dict(weights)
    return teacher.eval()
