"""The autoencoder with a flow in its latent space: what each of its two trainings tells which part."""

import math

import pytest
import torch
from torch import Tensor

from flowbench import config, data, flows
from flowbench.certificates import randomised
from flowbench.core import Event, FlowModel
from flowbench.flows import flow_autoencoder
from flowbench.runtime.seeding import seeded

EVENT = Event((1, 8, 8), levels=17)
OPTIONS = {"channels": [8, 16], "latent": 6, "layers": 4, "hidden": [16]}
EACH = pytest.mark.parametrize("by", ["likelihood", "reconstruction"])


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


def build(by: str, event: Event = EVENT, **options) -> FlowModel:
    return flows.build("flow_autoencoder", event, {"flow_learns_by": by, **OPTIONS, **options})


def images(n: int, event: Event = EVENT) -> Tensor:
    return torch.randint(event.levels, (n, *event.shape), dtype=torch.uint8)


def gradients(model: FlowModel, batch: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    with seeded(1):
        model.loss(batch).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@EACH
def test_without_noise_latents_generate_what_is_reconstructed(by, monkeypatch):
    monkeypatch.setattr(flow_autoencoder, "_CODE_NOISE", 0.0)
    model, x = randomised(build(by)).eval(), images(9)
    z, logdet = model.encode(x)
    assert z.shape == (9, 6)
    assert logdet.shape == (9,)
    shades, again = model.reconstruct(x)
    torch.testing.assert_close(shades * 16, x.float())
    torch.testing.assert_close(model.generate(z), (16 * again).round())


@EACH
@pytest.mark.parametrize("event", [Event((3, 32, 32), levels=256), Event((1, 28, 28), levels=256)], ids=str)
def test_images_of_other_sizes_and_colours(by, event):
    model = randomised(build(by, event, latent=7)).eval()
    assert model.encode(images(3, event))[0].shape == (3, 7)
    samples = model.sample(5)
    assert samples.shape == (5, *event.shape)
    assert samples.max() > 17
    assert torch.equal(samples, samples.round().clamp(0, 255))


def test_the_halves_are_swapped_after_each_coupling():
    chain = build("likelihood").transform.chain
    assert [type(part).__name__ for part in chain] == 4 * ["AffineCoupling", "Permutation"]
    x = torch.arange(6.0)[None]
    for part in chain[1::2]:
        assert part.encode(x)[0].tolist() == [[3, 4, 5, 0, 1, 2]]


def test_density_does_not_move_the_encoder():
    model, batch = randomised(build("likelihood")), images(20)
    before = gradients(model, batch)
    model.transform.load_state_dict(randomised(model.transform, seed=1).state_dict())
    after = gradients(model, batch)
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"transform"}
    assert all(gradient.any() for gradient in after.values())


def test_reconstruction_alone_moves_everything():
    model, batch = randomised(build("reconstruction")), images(20)
    before = gradients(model, batch)
    model.transform.load_state_dict(randomised(model.transform, seed=1).state_dict())
    after = gradients(model, batch)
    assert not any(torch.equal(before[name], after[name]) for name in before)


def test_the_density_cannot_gain_from_the_scale_of_the_codes():
    model, batch = build("likelihood"), images(50)
    codes, logdet = model.transform_input(batch)
    assert not logdet.any()
    torch.testing.assert_close(codes.std(0), torch.full((6,), 1.01**0.5), atol=0.06, rtol=0)
    with seeded(1):
        expected = model.loss(batch)
    last = model.encoder[0][-1]
    with torch.no_grad():
        last.weight.mul_(100)
        last.bias.add_(3)
    with seeded(1):
        torch.testing.assert_close(model.loss(batch), expected, rtol=1e-2, atol=0)


def test_the_flow_sees_noise_and_reconstructions_do_not():
    model, batch = build("likelihood").eval(), images(50)
    with torch.no_grad():
        noise = model.transform_input(batch)[0] - model.transform_input(batch)[0]
    assert float(noise.std()) == pytest.approx(0.1 * 2**0.5, rel=0.15)
    assert torch.equal(model.reconstruct(batch)[1], model.reconstruct(batch)[1])
    atoms = build("reconstruction").eval().transform_input(batch)[0]
    assert 0.1 < float((atoms == 0).float().mean()) < 0.9


@EACH
def test_the_loss_is_in_nats(by):
    model, batch = build(by).eval(), images(10)
    with seeded(1):
        loss = float(model.loss(batch).detach())
    with seeded(1), torch.no_grad():
        codes, _ = model.transform_input(batch)
        z, logdet = model.transform.encode(codes)
        x, again = batch / 16, model.decoder(codes if by == "likelihood" else z)
        gaussian = torch.distributions.Normal(again, 0.1).log_prob(x).flatten(1).sum(1)
        constant = -64 * math.log(0.1 * math.sqrt(2 * math.pi))
        expected = -(gaussian - constant).mean()
        if by == "likelihood":
            expected = expected - (model.prior().log_prob(z) + logdet).mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_codes_stay_wide_under_autocast():
    model = build("likelihood")
    with torch.autocast("cpu", torch.bfloat16):
        z, logdet = model.encode(images(5))
        assert model.loss(images(5)).dtype == torch.float32
    assert z.dtype == logdet.dtype == torch.float32


def test_training_by_likelihood_teaches_both_halves_and_the_flow():
    splits = data.load("digits", validation=250, test=297).splits()
    train, test = (torch.from_numpy(splits[name]) for name in ("train", "test"))
    model = build("likelihood", hidden=[32])
    optimiser = torch.optim.Adam(model.parameters(), 0.005)
    for _ in range(200):
        optimiser.zero_grad()
        model.loss(train[torch.randint(len(train), (64,))]).backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        x, again = model.reconstruct(test)
        z, logdet = model.encode(test)
        codes, _ = model.transform_input(test)
        untaught = model.prior().log_prob(codes).mean()
        taught = (model.prior().log_prob(z) + logdet).mean()
        samples = model.sample(297) / 16
    spread = float((x - x.mean(0)).square().mean())
    assert float((x - again).square().mean()) < 0.5 * spread
    assert taught > untaught + 0.5
    # A digit that is drawn is nearer to some true one than the mean image is, on average.
    nearest = torch.cdist(samples.flatten(1), x.flatten(1)).amin(1).square().mean() / 64
    assert nearest < 0.7 * spread


@pytest.mark.parametrize(
    ("event", "options", "message"),
    [
        (Event((2,)), {}, "takes images with grey levels"),
        (Event((1, 8, 8)), {}, "takes images with grey levels"),
        (Event((1, 8, 6), levels=17), {}, "whose height and width 4 divides"),
        (EVENT, {"latent": 1}, "at least 2 dimensions"),
        (EVENT, {"channels": []}, "channels"),
        (EVENT, {"flow_learns_by": "magic"}, "flow_learns_by"),
    ],
)
def test_what_it_cannot_take_is_refused(event, options, message):
    with pytest.raises(config.ConfigError, match=message):
        flows.build("flow_autoencoder", event, {"flow_learns_by": "likelihood", **OPTIONS, **options})
