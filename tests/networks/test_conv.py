"""The convolutional networks, and what a coupling needs of them."""

import pytest
import torch
from torch import nn

from flowbench.certificates import randomised
from flowbench.networks.conv import ResNet, convnet
from flowbench.runtime.seeding import seeded

NETWORKS = {
    "Glow's": lambda: convnet(2, [8, 8], 6),
    "one hidden layer": lambda: convnet(2, [8], 6),
    "none": lambda: convnet(2, [], 6),
    "residual": lambda: ResNet(2, 8, 3, 6),
}
EACH = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


@EACH
def test_height_and_width_stay_and_the_start_is_zero(build):
    y = build()(torch.randn(3, 2, 5, 7))
    assert y.shape == (3, 6, 5, 7)
    assert not y.any()


@EACH
def test_every_parameter_counts(build):
    with seeded(0):
        network = randomised(build())
        network(torch.randn(3, 2, 5, 7)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_glows_network_is_3x3_then_1x1_then_3x3():
    kernels = [layer.kernel_size for layer in convnet(2, [8, 8], 6) if isinstance(layer, nn.Conv2d)]
    assert kernels == [(3, 3), (1, 1), (3, 3)]
