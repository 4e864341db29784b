import torch

from flowbench.networks.conv import convnet
from flowbench.networks.mlp import mlp
from flowbench.networks.side_by_side import SideBySide, scale_and_shift


def test_outputs_are_joined_in_order():
    both = SideBySide(torch.nn.Linear(3, 2), torch.nn.Linear(3, 4))
    x = torch.randn(5, 3)
    assert torch.equal(both(x), torch.cat([both.first(x), both.second(x)], 1))


def test_separate_networks_have_the_shape_of_a_joint_one():
    for network, x in ((mlp, torch.randn(2, 3)), (convnet, torch.randn(2, 3, 4, 4))):
        joint, separate = (scale_and_shift(network, 3, [8], 5, networks) for networks in ("joint", "separate"))
        assert joint(x).shape == separate(x).shape
        assert joint(x).shape[1] == 10
        assert not separate(x).any()  # so that a coupling starts as the identity
        assert isinstance(separate, SideBySide)
        assert not isinstance(joint, SideBySide)
