"""The U-Net: shapes, time, derivatives, and what it refuses."""

import math

import pytest
import torch
from torch import nn

from flowbench.certificates import randomised
from flowbench.core import ShapeError
from flowbench.networks.unet import UNetField, _Attention
from flowbench.runtime.seeding import seeded

FIELDS = {
    "MNIST": ((1, 28, 28), {"multipliers": [1, 2, 2], "attention": [7]}),
    "CIFAR-10": ((3, 32, 32), {"multipliers": [1, 2, 2, 2], "blocks": 2, "attention": [16, 4]}),
    "digits": ((1, 8, 8), {"multipliers": [1, 2]}),
    "one resolution": ((2, 5, 5), {"multipliers": [1]}),
    "not square": ((5, 8, 12), {"multipliers": [2, 1, 3], "blocks": 2}),
}
EACH = pytest.mark.parametrize(("shape", "options"), FIELDS.values(), ids=FIELDS)
SMALL = ((2, 4, 8), {"multipliers": [1, 2], "attention": [4, 2]})


def field(shape, options, dtype=torch.float32):
    """One whose parameters are all random, and larger than they start."""
    with seeded(0):
        return randomised(UNetField(shape, channels=8, **options), scale=0.5).to(dtype)


def point(shape, batch=3, dtype=torch.float32):
    with seeded(1):
        return torch.rand(batch, dtype=dtype), torch.randn(batch, *shape, dtype=dtype)


@EACH
def test_the_velocity_has_the_shape_of_the_images_and_starts_at_zero(shape, options):
    t, x = point(shape)
    assert torch.equal(UNetField(shape, channels=8, **options)(t, x), torch.zeros_like(x))
    assert field(shape, options)(t, x).shape == x.shape


@EACH
def test_every_parameter_counts(shape, options):
    network = field(shape, options)
    network(*point(shape)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_one_time_is_that_time_for_each_image_and_other_times_give_other_velocities():
    network, (_, x) = field(*SMALL, torch.float64), point(SMALL[0], dtype=torch.float64)
    early, late = (network(torch.tensor(t, dtype=torch.float64), x) for t in (0.2, 0.8))
    each = network(torch.tensor([0.2, 0.8, 0.2], dtype=torch.float64), x)
    torch.testing.assert_close(each, torch.stack((early[0], late[1], early[2])))
    assert (early - late).abs().max() > 0.01 * early.abs().max()


def test_images_of_a_batch_do_not_mix():
    network, (t, x) = field(*SMALL), point(SMALL[0])
    (gradient,) = torch.autograd.grad(network(t, x.requires_grad_())[1].sum(), x)
    assert gradient[1].any()
    assert not gradient[[0, 2]].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@torch.no_grad()
def test_quadratic_forms_of_the_jacobian_are_those_of_finite_differences(dtype):
    network, (t, x) = field(*SMALL, dtype), point(SMALL[0], dtype=dtype)
    directions = torch.stack((x.flip(0), x.flip(-1)))
    velocity, forms = network.quadratic_forms(t[0], x, directions)
    network, t, x, directions = network.double(), t.double(), x.double(), directions.double()
    step = 1e-5
    differences = [(network(t[0], x + step * d) - network(t[0], x - step * d)) / (2 * step) for d in directions]
    tolerance = 1e-7 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(velocity.double(), network(t[0], x), rtol=tolerance, atol=tolerance)
    wanted = (directions * torch.stack(differences)).flatten(2).sum(2)
    torch.testing.assert_close(forms.double(), wanted, rtol=tolerance, atol=tolerance * float(wanted.abs().max()))


@pytest.mark.parametrize(("channels", "heads"), [(8, 1), (128, 2), (196, 1)])
def test_attention_weighs_the_values_by_a_softmax_of_products(channels, heads):
    with seeded(0):
        attention = randomised(_Attention(channels))
        x = torch.randn(2, channels, 3, 4)
    query, key, value = attention.project(attention.norm(x)).reshape(2, 3, heads, -1, 12).unbind(1)
    weights = (query.mT @ key / math.sqrt(channels / heads)).softmax(-1)
    wanted = (value @ weights.mT).reshape(x.shape)
    torch.testing.assert_close(attention(x), x + attention.last(wanted))


def test_bfloat16_and_the_order_of_memory_change_rounding_only():
    network, (t, x) = field(*SMALL), point(SMALL[0])
    wanted = network(t, x).detach()
    ordered = network.to(memory_format=torch.channels_last)(t, x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(ordered, wanted, rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(t, x)
        loss = (rounded - x).square().mean()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(rounded.float(), wanted, rtol=0, atol=0.03 * float(wanted.abs().max()))
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_the_last_layer_alone_learns_first():
    network, (t, x) = UNetField(SMALL[0], channels=8, **SMALL[1]), point(SMALL[0])
    (network(t, x) - x).square().mean().backward()
    moving = {name for name, parameter in network.named_parameters() if parameter.grad.any()}
    assert moving == {"last.2.weight", "last.2.bias"}


@pytest.mark.parametrize("shape", [(1, 14, 14), (3, 32, 30), (1, 30, 32), (64,), (28, 28)], ids=str)
def test_images_that_cannot_be_halved_are_refused(shape):
    with pytest.raises(ShapeError, match="can be halved 2 times"):
        UNetField(shape, channels=8, multipliers=[1, 2, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"channels": 6}, "multiple of 4, got 6"), ({"channels": 8, "attention": [16]}, r"\[28, 14, 7\], got \[16\]")],
    ids=["channels", "attention"],
)
def test_other_options_are_refused_with_what_is_possible(options, message):
    with pytest.raises(ValueError, match=message):
        UNetField((1, 28, 28), multipliers=[1, 2, 2], **options)


def test_normalisation_is_over_groups_of_at_least_four_channels():
    network = UNetField((3, 8, 8), channels=12, multipliers=[1, 3, 16], blocks=2, attention=[2])
    norms = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
    assert all(norm.num_channels // norm.num_groups >= 4 and norm.num_groups <= 32 for norm in norms)
