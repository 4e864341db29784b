"""Batches of a training split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

# Share of a GPU's free memory that a training split may take; the rest is for the model.
_SHARE = 0.25

# Enough training data for data-dependent initialisation.
INITIALISATION_EXAMPLES = 50_000


class Batches(Iterator[Tensor]):
    """Batches without end on ``device``: epoch by epoch without replacement, each epoch in an order of its own.

    What does not fill a batch waits for a later epoch, so all batches are of one size. Order and flips come from
    torch's global random state on the CPU: they are the same wherever the examples lie.

    Args:
        examples: ``(n, *event)`` on the CPU, such as a memory map. A GPU gets them all at once if they fit, in their
            own type, and otherwise each batch while it computes the steps before it.
        batch_size: examples a batch; a split that is smaller is used whole.
        horizontal_flips: mirror each image ``(channels, height, width)`` with probability one half, drawn anew in each
            epoch; vectors stay as they are.
    """

    def __init__(self, examples: Tensor, batch_size: int, device: torch.device, *, horizontal_flips: bool = False):
        self._size = min(batch_size, len(examples))
        self._device = device
        self._flips = horizontal_flips and examples.ndim == 4
        resident = fits(examples, device)
        self._examples = examples.to(device) if resident else examples
        self._send = None if resident else _sender(device)
        self._order = self._mirrored = torch.empty(0)
        self._position = 0

    def __next__(self) -> Tensor:
        if self._position + self._size > len(self._order):
            self._begin(torch.randperm(len(self._examples)), self._draw_flips())
        chosen = slice(self._position, self._position + self._size)
        self._position += self._size
        batch = self._examples[self._order[chosen]]
        if self._send:
            batch = self._send(batch)
        if self._flips:
            batch = torch.where(self._mirrored[chosen].view(-1, 1, 1, 1), batch.flip(-1), batch)
        return batch

    def state(self) -> dict[str, Tensor]:
        """Where in which epoch the next batch is."""
        return {"order": self._order, "mirrored": self._mirrored, "position": torch.tensor(self._position)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        self._begin(state["order"], state["mirrored"])
        self._position = int(state["position"])

    def _begin(self, order: Tensor, mirrored: Tensor) -> None:
        self._order = order.to(self._examples.device, non_blocking=True)
        self._mirrored = mirrored.to(self._device, non_blocking=True)
        self._position = 0

    def _draw_flips(self) -> Tensor:
        return torch.rand(len(self._examples)) < 0.5 if self._flips else torch.empty(0)


def fits(examples: Tensor, device: torch.device) -> bool:
    """Whether all examples may lie on the device at once; on a CPU they do already."""
    return device.type == "cpu" or examples.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0]


def _sender(device: torch.device) -> Callable[[Tensor], Tensor]:
    """What copies a batch to a GPU, beside the steps that still wait there to be computed."""
    copying = torch.cuda.Stream(device)

    def send(batch: Tensor) -> Tensor:
        computing = torch.cuda.current_stream(device)
        with torch.cuda.stream(copying):
            batch = batch.pin_memory().to(device, non_blocking=True)
        computing.wait_stream(copying)
        batch.record_stream(computing)  # so that the next copy does not take its memory before the step is done
        return batch

    return send
