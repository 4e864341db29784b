"""Batches of a training split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Share of a GPU's free memory that a training split may take; the rest is for the model.
_SHARE = 0.25


def batches(
    examples: Tensor, batch_size: int, device: torch.device, *, horizontal_flips: bool = False
) -> Iterator[Tensor]:
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
    size = min(batch_size, len(examples))
    flips = horizontal_flips and examples.ndim == 4
    resident = fits(examples, device)
    stored = examples.to(device) if resident else examples
    send = None if resident else _sender(device)
    while True:
        order = torch.randperm(len(examples)).to(stored.device, non_blocking=True)
        mirrored = (torch.rand(len(examples)) < 0.5).to(device, non_blocking=True) if flips else None
        for start in range(0, len(examples) - size + 1, size):
            chosen = slice(start, start + size)
            batch = stored[order[chosen]]
            if send:
                batch = send(batch)
            if mirrored is not None:
                batch = torch.where(mirrored[chosen].view(-1, 1, 1, 1), batch.flip(-1), batch)
            yield batch


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
        batch.record_stream(computing)  # lest the next copy take its memory before the step is done
        return batch

    return send
