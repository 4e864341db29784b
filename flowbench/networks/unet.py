"""A U-Net as a vector field for images."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, scaled_dot_product_attention, silu

from flowbench.core import ShapeError
from flowbench.networks.field import VectorField

# The highest angular frequency of the time embedding, per unit of time.
_HIGHEST_FREQUENCY = 100.0

# Least number of channels in a head of attention, as in Dhariwal & Nichol (section 3.1).
_HEAD_CHANNELS = 64


class UNetField(VectorField):
    """v(t, x) for images ``(batch, C, H, W)``: a U-Net (Ronneberger et al. 2015, 1505.04597) that depends on time.

    As in diffusion models (Ho et al. 2020, 2006.11239, appendix B), residual blocks work at one resolution after
    another, each half of the one before, and then back up. On the way up each block also sees the output of its
    counterpart on the way down. Averaging halves the images and repetition doubles them. Sines and cosines of the time,
    embedded by a perceptron, scale and shift the normalised features of every block (Dhariwal & Nichol 2021,
    2105.05233, section 3).

    For flow matching on CIFAR-10, Lipman et al. (2023, 2210.02747) use 256 channels and Tong et al. (2024, 2302.00482)
    use 128, both with multipliers 1, 2, 2, 2, two blocks and attention at 16 × 16 pixels.

    The last layer starts at zero, so the field does too.

    Args:
        shape: ``(C, H, W)``.
        channels: at the full resolution; a multiple of 4.
        multipliers: the channels of each resolution as a multiple of ``channels``, from the full one down.
        blocks: residual blocks at each resolution, on the way down and again on the way up.
        attention: heights, in pixels, of the resolutions whose blocks end in self-attention over all pixels.

    Raises:
        ShapeError: the images cannot be halved once for each multiplier after the first.
        ValueError: the number of channels is no multiple of 4, or no resolution has a height in ``attention``.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        channels: int,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 1,
        attention: Collection[int] = (),
    ):
        super().__init__()
        halvings = len(multipliers) - 1
        if len(shape) != 3 or shape[1] % 2**halvings or shape[2] % 2**halvings:
            raise ShapeError(
                f"a U-Net of {len(multipliers)} resolutions takes images (C, H, W) whose height and width can be "
                f"halved {halvings} times, got {tuple(shape)}"
            )
        heights = [shape[1] // 2**i for i in range(len(multipliers))]
        if channels % 4:
            raise ValueError(f"channels must be a multiple of 4, got {channels}")
        if not set(attention) <= set(heights):
            raise ValueError(f"attention must be at some of the heights {heights}, got {list(attention)}")

        frequencies = torch.logspace(0, math.log10(_HIGHEST_FREQUENCY), channels // 2)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.embed = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, 4 * channels), nn.SiLU()
        )
        self.first = nn.Conv2d(shape[0], channels, 3, padding=1)
        levels = [
            (channels * multiplier, height in attention)
            for multiplier, height in zip(multipliers, heights, strict=True)
        ]
        self.levels = _Level(channels, levels, blocks, 4 * channels)
        self.last = nn.Sequential(
            _norm(levels[0][0]), nn.SiLU(), _zeros(nn.Conv2d(levels[0][0], shape[0], 3, padding=1))
        )

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        angles = t.reshape(-1, 1) * self.frequencies
        time = self.embed(torch.cat((angles.sin(), angles.cos()), 1))
        return self.last(self.levels(self.first(x), time))


class _Level(nn.Module):
    """One resolution and, inside, those below it: ``(batch, inputs, H, W)`` to ``(batch, width, H, W)``.

    Args:
        levels: width, and whether there is attention, of this resolution and of each below.
    """

    def __init__(self, inputs: int, levels: Sequence[tuple[int, bool]], blocks: int, time: int):
        super().__init__()
        (width, attention), *below = levels
        block = partial(_Block, outputs=width, time=time, attention=attention)
        self.down = nn.ModuleList(block(size) for size in [inputs] + [width] * (blocks - 1))
        self.below: _Level | None = None
        if below:
            self.below = _Level(width, below, blocks, time)
            self.up = nn.ModuleList(block(size + width) for size in [below[0][0]] + [width] * (blocks - 1))
        else:
            self.up = nn.ModuleList(block(width) for _ in range(blocks))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x, time)
            skips.append(x)
        if self.below is None:
            for block in self.up:
                x = block(x, time)
            return x
        x = interpolate(self.below(avg_pool2d(x, 2), time), scale_factor=2.0)
        for block in self.up:
            x = block(torch.cat((x, skips.pop()), 1), time)
        return x


class _Block(nn.Module):
    """A residual block of two convolutions, modulated by the time ``(batch or 1, time)``, and perhaps attention."""

    def __init__(self, inputs: int, outputs: int, time: int, attention: bool):
        super().__init__()
        self.first_norm, self.first = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(time, 2 * outputs)
        self.second_norm, self.second = _norm(outputs), _zeros(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.attention = _Attention(outputs) if attention else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.modulation(time)[..., None, None].chunk(2, 1)
        h = self.first(silu(self.first_norm(x)))
        h = self.second(silu(self.second_norm(h) * (1 + scale) + shift))
        return self.attention(self.shortcut(x) + h)


class _Attention(nn.Module):
    """Residual self-attention of several heads over all pixels of an image."""

    def __init__(self, channels: int):
        super().__init__()
        self.heads = math.gcd(channels, max(1, channels // _HEAD_CHANNELS))
        self.norm = _norm(channels)
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.last = _zeros(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        # (batch, 3, heads, channels of a head, pixels)
        projected = self.project(self.norm(x)).unflatten(1, (3, self.heads, -1)).flatten(-2)
        query, key, value = projected.unbind(1)
        found = scaled_dot_product_attention(query.mT, key.mT, value.mT).mT
        return x + self.last(found.reshape(x.shape))


def _norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with at most 32 groups of at least 4 channels each."""
    return nn.GroupNorm(math.gcd(channels // 4, 32), channels)


def _zeros(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
