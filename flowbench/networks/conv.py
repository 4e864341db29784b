"""Convolutional networks that keep the height and width of an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import weight_norm


def convnet(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """A ReLU network of convolutions from ``(batch, inputs, H, W)`` to ``(batch, outputs, H, W)``.

    The first and the last are 3×3, those between them 1×1: with two hidden layers this is Glow's network (Kingma &
    Dhariwal 2018, 1807.03039, section 5). The last starts at zero, so that a coupling starts as the identity.
    """
    sizes = [inputs, *hidden]
    layers: list[nn.Module] = []
    for i, (size, next_size) in enumerate(pairwise(sizes)):
        layers += [_conv(size, next_size, 1 if i else 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, _zeros(_conv(sizes[-1], outputs, 3)))


class ResNet(nn.Module):
    """A residual network of weight-normalised 3×3 convolutions, like RealNVP's (Dinh et al. 2017, 1605.08803, 3.5).

    ``(batch, inputs, H, W)`` to ``(batch, outputs, H, W)``; it starts at zero, so that a coupling starts as the
    identity. It has no batch normalisation, whose statistics would mix the examples of a batch.

    Args:
        channels: of every hidden layer.
        blocks: residual blocks, of two convolutions each.
    """

    def __init__(self, inputs: int, channels: int, blocks: int, outputs: int):
        super().__init__()
        self.first = weight_norm(_conv(inputs, channels, 3))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),  # not in place, since the block's input is added to what it gives
                weight_norm(_conv(channels, channels, 3)),
                nn.ReLU(inplace=True),
                weight_norm(_conv(channels, channels, 3)),
            )
            for _ in range(blocks)
        )
        self.last = _zeros(_conv(channels, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(relu(x))


def _conv(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


def _zeros(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
