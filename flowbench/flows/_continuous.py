"""What the continuous flows share: one differential equation behind their preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

from torch import Tensor, nn
from torch.distributions import Distribution

from flowbench.config import PositiveInt, Within
from flowbench.core import FlowModel, FlowModule, FlowSequential, Likelihood
from flowbench.layers.continuous import ContinuousFlow, solving

# Zero is accepted here and refused by the solver, so that only the cells that use it fail.
Tolerance = Annotated[float, Within(ge=0, le=0.1)]
# Sizes of the hidden layers of a field, of which time enters the first.
Hidden = Annotated[list[PositiveInt], Within(min_length=1)]
# A single probe would not show the estimate's variance.
Probes = Annotated[int, Within(ge=2)]


class ContinuousModel(FlowModel):
    """A density whose map holds one `ContinuousFlow`.

    Its log-likelihood is exact up to the solver's tolerance if the divergence is exact, and else an estimate.

    Args:
        before: maps from data to the end of the flow's paths.
        flow: the continuous flow.
        after: maps from the start of the flow's paths to the latent.
        prior: over the latent.
        dequantise: for integer data, the map that adds noise first.
    """

    continuous = True

    def __init__(
        self,
        before: Sequence[FlowModule],
        flow: ContinuousFlow,
        after: Sequence[FlowModule],
        prior: Distribution | nn.Module,
        dequantise: FlowModule | None,
    ):
        transform = FlowSequential(*before, flow, *after)
        likelihood: Likelihood = "exact" if flow.probes is None else "estimate"
        super().__init__(transform, prior, dequantise=dequantise, likelihood=likelihood)
        self._place = len(before)

    @property
    def flow(self) -> ContinuousFlow:
        """The continuous flow within the transform."""
        return self.transform.chain[self._place]

    def start(self, z: Tensor) -> Tensor:
        """The start of the path of a latent ``(batch, *latent)``, at t = 0."""
        # Map by map: each training step comes here, and to make a chain of them would take longer than they do.
        for layer in reversed([*self.transform.chain][self._place + 1 :]):
            z, _ = layer.decode(z)
        return z

    def latent(self, x: Tensor) -> Tensor:
        """The latent ``(batch, *latent)`` of the start of a path."""
        return self.transform[self._place + 1 :].encode(x)[0]

    def log_start(self, x: Tensor) -> Tensor:
        """Log-density of starts of paths ``(batch, *event)`` in nats, ``(batch,)``."""
        z, logdet = self.transform[self._place + 1 :].encode(x)
        return self.log_prior(z) + logdet

    def end(self, x: Tensor) -> Tensor:
        """The end of the path of data ``(batch, *event)``, at t = 1; integer data is dequantised with fresh noise."""
        return self.approach(self.transform_input(x)[0])

    def approach(self, x: Tensor) -> Tensor:
        """The end of the path of dequantised data ``(batch, *event)``."""
        for layer in [*self.transform.chain][: self._place]:
            x, _ = layer.encode(x)
        return x

    def arrive(self, x: Tensor) -> Tensor:
        """Data from the end of a path, rounded to grey levels if it has those."""
        return self.finish(self.transform[: self._place].decode(x)[0])

    def loosely(self, tolerance: float) -> AbstractContextManager[None]:
        own = self.flow.tolerance
        # A tolerance of zero is refused when the equation is solved.
        return solving(self, tolerance_factor=max(1.0, tolerance / own)) if own else nullcontext()

    def generate(self, z: Tensor) -> Tensor:
        return self.arrive(self.flow.transport(self.start(z))[0])
