"""The training of a student on the density of a trained cell, its teacher."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowbench.config import PARAMS, ConfigError, Params, Student
from flowbench.core import FlowModel, ShapeError
from flowbench.flows import iaf_distilled
from flowbench.training.cell import CellTraining
from flowbench.training.objectives import ReverseKL
from flowbench.training.state import Outcome


class Distillation(ReverseKL):
    """KL(student ‖ teacher) = E_q[log q(x) - log p(x)] over the student's own samples, in nats.

    Probability density distillation (van den Oord et al. 2018, 1711.10433, equation 6): the reverse KL of an energy,
    with the teacher's density for one. Annealed likewise, or a student of moons finds one of the two and stays there.

    Args:
        student: what is trained; shares the teacher's preprocessing.
        teacher: whose density is learnt; stays as it is.
        batch_size: samples a step.
        anneal_steps: of β, the share of the teacher's log-density.
        validation_seed: for the noise of the validation samples.
        compile: whether torch compiles the sampling.
    """

    def __init__(
        self,
        student: iaf_distilled.Student,
        teacher: FlowModel,
        batch_size: int,
        anneal_steps: int,
        validation_seed: int,
        *,
        compile: bool = False,
    ):
        density = student.without_preprocessing(teacher.requires_grad_(False))
        super().__init__(
            student.without_preprocessing(student),
            density.log_prob,
            batch_size,
            anneal_steps,
            validation_seed,
            compile=compile,
        )

    @torch.no_grad()
    def validation_loss(self, model: FlowModel) -> Tensor:
        assert isinstance(model, iaf_distilled.Student)
        return super().validation_loss(model.without_preprocessing(model))


class StudentTraining(CellTraining):
    """Trains a student of ``params.yaml``, each seed on the same seed of its teacher."""

    cell: Student
    stage = "train_student"
    learns_from_data = False

    def __init__(self, params: Params, key: str, root: Path = Path()):
        super().__init__(params, key, root)
        self.where = f"suites.{params.active.name}.students.{key}.teacher"

    def _identity(self) -> dict[str, Any]:
        weights = sorted((self.root / "results" / self.cell.teacher / "trained").glob("*.safetensors"))
        teacher = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}
        return super()._identity() | {"teacher": teacher}

    def _descend(self, model: FlowModel, seed: int, folder: Path) -> Outcome:
        try:
            return super()._descend(model, seed, folder)
        except iaf_distilled.TeacherError as error:
            return Outcome(status="failed", reason=str(error))

    def _objective(self, model: FlowModel, seed: int) -> Distillation:
        assert isinstance(model, iaf_distilled.Student)
        folder = self.root / "results" / self.cell.teacher
        teacher = iaf_distilled.load_teacher(folder, self.source.event, seed, self.where).to(self.device)
        try:
            model.share_preprocessing(teacher)
        except ShapeError as error:
            raise ConfigError(f"{PARAMS}: flows.{self.cell.flow}.{self.cell.config}: {error}") from None
        budget, validation_seed = self.budget, self._seed(seed, "validation")
        return Distillation(
            model, teacher, budget.batch_size, budget.anneal_steps, validation_seed, compile=budget.compile
        )
