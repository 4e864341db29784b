"""A density that learns from another density."""

from __future__ import annotations

from flowbench.core import FlowModel, ShapeError


class Student(FlowModel):
    """A density that is fast to sample and learns from its teacher, which is fast to train.

    It sees no data. Training minimises KL(student ‖ teacher) over its own samples, whose density it knows.

    Args:
        model: the flow that learns.
        preprocessing: the number of maps before the learnt ones; teacher and student share them.
    """

    loss_unit = "nats of KL to the teacher"

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
