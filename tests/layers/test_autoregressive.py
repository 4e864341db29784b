"""The autoregressive layer's unrolled inverse and its implicit gradient against naive ways to the same."""

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from flowbench.certificates import randomised
from flowbench.layers._univariate import Affine, MixtureOfGaussians, RationalQuadratic, Univariate
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.runtime.seeding import seeded

NETWORKS = pytest.mark.parametrize(
    ("features", "hidden"),
    [(1, [4]), (2, [8, 8]), (5, [16, 16]), (5, [3]), (6, [2, 9, 4]), (4, [])],
    ids=str,
)
UNIVARIATES = pytest.mark.parametrize("univariate", [Affine(), RationalQuadratic(4), MixtureOfGaussians(2)], ids=repr)


def layer_and_latent(
    features: int, hidden: list[int], univariate: Univariate | None = None
) -> tuple[MaskedAutoregressive, Tensor]:
    with seeded(0):
        layer = MaskedAutoregressive(features, hidden, univariate).double()
        return randomised(layer, scale=1.0), torch.randn(7, features, dtype=torch.float64)


def naive_decode(layer: MaskedAutoregressive, z: Tensor) -> tuple[Tensor, Tensor]:
    """D passes of the whole network, each of which gets one more feature right; plain autograd sees them all."""
    x = torch.zeros_like(z)
    for _ in range(z.shape[1]):
        x, logdet = layer.univariate.decode(z, layer.network(x))
    return x, logdet.sum(1)


@UNIVARIATES
@NETWORKS
def test_unrolled_inverse_is_that_of_the_naive_loop(features, hidden, univariate):
    layer, z = layer_and_latent(features, hidden, univariate)
    for got, expected in zip(layer.decode(z), naive_decode(layer, z), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)


@UNIVARIATES
@NETWORKS
def test_implicit_gradient_is_that_of_the_naive_loop(features, hidden, univariate):
    layer, z = layer_and_latent(features, hidden, univariate)

    def gradients(decode) -> list[Tensor]:
        latent = z.clone().requires_grad_()
        x, logdet = decode(latent)
        weights = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)
        loss = (weights * x.sin()).sum() + (logdet * weights[:, 0]).sum()
        return torch.autograd.grad(loss, [latent, *layer.parameters()], allow_unused=True, materialize_grads=True)

    names = ["z", *(name for name, _ in layer.named_parameters())]
    pairs = zip(gradients(layer.decode), gradients(lambda z: naive_decode(layer, z)), strict=True)
    for name, (got, expected) in zip(names, pairs, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


def test_decoding_needs_no_gradient():
    layer, z = layer_and_latent(5, [16])
    with torch.no_grad():
        x, logdet = layer.decode(z)
    assert not x.requires_grad
    torch.testing.assert_close(x, layer.decode(z)[0].detach())
    torch.testing.assert_close(logdet, layer.decode(z)[1].detach())


def test_each_unit_is_computed_once():
    layer, z = layer_and_latent(12, [32, 32])
    network = layer.network

    def flops(function) -> int:
        with FlopCounterMode(display=False) as counter:
            function()
        return counter.get_total_flops()

    dense = flops(lambda: network(z))
    assert dense == 2 * len(z) * (12 * 32 + 32 * 32 + 32 * 24)
    _, hidden = network.unroll(lambda i, outputs: z[:, i], z)
    slopes = torch.ones(*z.shape, 2, dtype=z.dtype)
    # Less than one pass, since the masked weights, about half of them, are left out.
    assert flops(lambda: network.unroll(lambda i, outputs: z[:, i], z)) < 0.75 * dense
    assert flops(lambda: network.solve_transposed(hidden, slopes, torch.ones_like(z), z)) < 0.75 * dense


def test_scales_are_bounded():
    layer, _ = layer_and_latent(3, [4])
    with torch.no_grad():
        layer.network.last.bias.fill_(1e6)
    _, logdet = layer.encode(torch.zeros(2, 3, dtype=torch.float64))
    torch.testing.assert_close(logdet, torch.full((2,), -9.0, dtype=torch.float64))
