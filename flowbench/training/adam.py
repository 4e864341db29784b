"""Adam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma & Ba 2015, 1412.6980) by torch's fused kernel, with its defaults.

    `torch.optim.Adam` wraps the same kernel, and its first instance imports torch's compiler. This took 7.0 s of
    each training stage when it was measured (torch 2.15, two cores, nothing else running), and the first step 0.03 s. A
    test compares the two, weight by weight.

    Args:
        parameters: what is learnt.
        weight_decay: times the parameter, added to its gradient.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], weight_decay: float = 0.0):
        self._parameters, self._weight_decay = parameters, weight_decay
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in parameters]
        self._steps = [torch.zeros((), device=parameter.device) for parameter in parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move each parameter that has a gradient."""
        moved = [i for i, parameter in enumerate(self._parameters) if parameter.grad is not None]
        values = (self._parameters, [p.grad for p in self._parameters], self._means, self._squares, self._steps)
        parameters, gradients, means, squares, steps = ([of_all[i] for i in moved] for of_all in values)
        adam(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=self._weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """The moving averages, and the steps that they are of."""
        parts = {"mean": self._means, "square": self._squares, "steps": self._steps}
        return {f"{part}.{i}": tensor for part, tensors in parts.items() for i, tensor in enumerate(tensors)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        # Into the tensors there are, which lie in memory as the parameters do.
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
