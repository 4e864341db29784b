"""Squeeze, split, checkerboards and the 1×1 convolution: what the test of every map does not see."""

import math

import pytest
import torch
from torch import nn

from flowbench import flows
from flowbench.certificates import randomised
from flowbench.config import ConfigError
from flowbench.core import Event, FlowSequential, ShapeError
from flowbench.layers.checkerboard_coupling import CheckerboardCoupling
from flowbench.layers.conv1x1 import InvertibleConv1x1
from flowbench.layers.flatten import Flatten
from flowbench.layers.linear import InvertibleLinear
from flowbench.layers.split import Split
from flowbench.layers.squeeze import Squeeze
from flowbench.runtime.seeding import seeded


def test_squeeze_puts_each_block_of_four_pixels_into_channels():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    squeeze = Squeeze((1, 4, 4))
    z, _ = squeeze.encode(x)
    assert z.shape[1:] == squeeze.latent_shape
    assert z[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    assert z[0, :, 1, 1].tolist() == [10, 11, 14, 15]


def test_squeeze_keeps_the_colours_of_a_pixel_together():
    x = torch.arange(3.0).view(1, 3, 1, 1) + 10 * torch.arange(4.0).view(1, 1, 2, 2)
    z, _ = Squeeze((3, 2, 2)).encode(x)
    assert z.flatten().tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]


@pytest.mark.parametrize("shape", [(1, 7, 8), (1, 8, 7), (4,)], ids=str)
def test_squeeze_refuses_what_it_cannot_halve(shape):
    with pytest.raises(ShapeError, match="even height and width"):
        Squeeze(shape)


def test_split_refuses_an_odd_number_of_channels():
    with pytest.raises(ShapeError, match="even number of channels"):
        Split(Flatten((1, 4, 4)), (3, 4, 4))


@pytest.mark.parametrize(
    ("flow", "options"),
    [
        ("glow", {"steps": 1, "hidden": [4, 4], "scales": 3}),
        ("realnvp", {"architecture": "multi-scale", "layers": 1, "hidden": [4], "scales": 4}),
    ],
)
def test_an_image_that_cannot_be_halved_so_often_is_a_mistake_in_the_parameters(flow, options):
    message = rf"params.yaml: flows.{flow} = .* for events of shape \(1, 28, 28\): .*got \(\d+, 7, 7\)"
    with pytest.raises(ConfigError, match=message):
        flows.build(flow, Event((1, 28, 28), levels=256), options)


@pytest.mark.parametrize(
    ("flow", "options"),
    [
        ("glow", {"steps": 1, "hidden": [4, 4], "scales": 1}),
        ("realnvp", {"architecture": "convolutional", "layers": 1, "hidden": [4]}),
        ("realnvp", {"architecture": "multi-scale", "layers": 1, "hidden": [4], "scales": 1}),
    ],
)
def test_convolutional_flows_refuse_vectors(flow, options):
    with pytest.raises(ConfigError, match=r"shape \(4,\): a convolutional flow takes images \(C, H, W\)"):
        flows.build(flow, Event((4,)), options)


@pytest.mark.parametrize("options", [{"architecture": "multi-scale"}, {"scales": 2}], ids=str)
def test_scales_belong_to_the_multi_scale_architecture(options):
    with pytest.raises(ConfigError, match="scales are for the multi-scale architecture"):
        flows.build("realnvp", Event((1, 8, 8), levels=17), {"hidden": [4]} | options)


def test_split_meets_the_prior_of_the_half_that_leaves_once():
    """Its density is that of the factorisation p(x₁) p(x₂ | x₁), by hand."""
    with seeded(0):
        split = randomised(Split(Flatten((1, 2, 2)), (2, 2, 2), nn.Conv2d(1, 2, 1)), scale=1.0)
        x = torch.randn(5, 2, 2, 2)
    z, logdet = split.encode(x)
    log_scale, mean = split.network(x[:, :1]).chunk(2, 1)
    log_scale = 3 * torch.tanh(log_scale / 3)
    conditional = torch.distributions.Normal(mean, log_scale.exp()).log_prob(x[:, 1:]).flatten(1).sum(1)
    first = torch.distributions.Normal(0, 1).log_prob(x[:, :1]).flatten(1).sum(1)
    log_prob = torch.distributions.Normal(0, 1).log_prob(z).sum(1) + logdet
    torch.testing.assert_close(log_prob, first + conditional)


def test_a_1x1_convolution_is_the_linear_map_of_each_pixel():
    with seeded(0):
        convolution = randomised(InvertibleConv1x1(3))
        x = torch.randn(2, 3, 4, 5)
    linear = InvertibleLinear(3)
    linear.load_state_dict(convolution.state_dict())
    z, logdet = convolution.encode(x)
    by_pixel, term = linear.encode(x.movedim(1, -1).reshape(-1, 3))
    torch.testing.assert_close(z.movedim(1, -1).reshape(-1, 3), by_pixel)
    torch.testing.assert_close(logdet, 20 * term[:2])


@pytest.mark.parametrize("swap", [False, True])
def test_a_checkerboard_keeps_every_other_pixel(swap):
    with seeded(0):
        coupling = randomised(CheckerboardCoupling(nn.Conv2d(1, 2, 3, padding=1), (1, 4, 4), swap=swap))
        x = torch.randn(2, 1, 4, 4)
    kept = (coupling.encode(x)[0] == x)[0, 0].int().tolist()
    assert kept == [[int((row + column) % 2 == swap) for column in range(4)] for row in range(4)]


def test_glow_leaves_half_of_the_dimensions_at_each_scale():
    model = flows.build("glow", Event((3, 8, 8), levels=256), {"steps": 1, "hidden": [4, 4], "scales": 3})
    leaving = [math.prod(part.half) for part in model.modules() if isinstance(part, Split)]
    assert leaving == [96, 48]
    assert isinstance(model.transform, FlowSequential)
    assert model.prior().event_shape == (192,)
