"""The training of a student on the density of a trained cell, its teacher."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from flowbench.config import ConfigError, TrainBudget
from flowbench.core import FlowModel, Generator, ShapeError
from flowbench.flows._student import Student
from flowbench.training.objectives import ReverseKL


class Distillation(ReverseKL):
    """KL(student ‖ teacher) = E_q[log q(x) - log p(x)] over the student's own samples, in nats.

    Probability density distillation (van den Oord et al. 2018, 1711.10433, equation 6): the reverse KL of an energy,
    where the energy is the teacher's density. It is annealed in the same way; otherwise a student of moons finds one of
    the two and stays there.

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
        student: Student,
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

    @classmethod
    def of(cls, student: Generator, teacher: Generator, budget: TrainBudget, validation_seed: int, where: str) -> Self:
        """The objective of a student, which takes over its teacher's preprocessing.

        Args:
            where: the file and key of the student's options, for messages.

        Raises:
            ConfigError: the teacher's logit is another than the student's.
        """
        assert isinstance(student, Student)
        assert isinstance(teacher, FlowModel)
        try:
            student.share_preprocessing(teacher)
        except ShapeError as error:
            raise ConfigError(f"{where}: {error}") from None
        return cls(student, teacher, budget.batch_size, budget.anneal_steps, validation_seed, compile=budget.compile)

    @torch.no_grad()
    def validation_loss(self, model: FlowModel) -> Tensor:
        assert isinstance(model, Student)
        return super().validation_loss(model.without_preprocessing(model))
