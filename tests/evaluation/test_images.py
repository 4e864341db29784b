"""Ways through the latent space, round trips, and the pictures of both."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowbench import config, flows
from flowbench.config import suites
from flowbench.core import Event, FittedModel, FlowModel, FlowSequential
from flowbench.evaluation import images
from flowbench.evaluation.images import interpolate, slerp
from flowbench.evaluation.subject import Subject
from flowbench.flows._priors import standard_normal
from flowbench.layers.dequantise import Dequantise
from flowbench.layers.flatten import Flatten
from flowbench.layers.logit import Logit
from flowbench.records.training import Training
from flowbench.runtime.seeding import seeded
from tests.tiny_cells import IMAGES, STUDENT


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


def draw(folder: Path, model: FlowModel, test: torch.Tensor, samples: torch.Tensor | None = None) -> None:
    """The pictures of a model, with other samples than its own if they are given."""
    cell = SimpleNamespace(
        names=SimpleNamespace(data="x"),
        evaluate=SimpleNamespace(samples=110, test_examples=None, batch_size=50),
        source=SimpleNamespace(event=Event(tuple(test.shape[1:]), levels=256)),
        title="x",
    )
    subject = Subject(cell, None, 0, model, test)
    subject.latents = model.prior().sample((110,))
    if samples is not None:
        subject.samples = samples
    subject.draw(images.PICTURES, folder)


def images_of(kind: type[FlowModel] = FlowModel, shape: tuple[int, ...] = (1, 8, 8)) -> FlowModel:
    transform = FlowSequential(Logit(0.05), Flatten(shape))
    return kind(transform, standard_normal(math.prod(shape)), dequantise=Dequantise(256))


def test_slerp_follows_the_arc():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    for t in (0.0, 0.25, 0.5, 1.0):
        expected = 2 * torch.tensor([[math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)]])
        torch.testing.assert_close(slerp(a, b, t), expected)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_slerp_along_a_ray_is_a_straight_line(factor):
    a = torch.randn(20, 500)
    for t in (0.0, 0.3, 1.0):
        torch.testing.assert_close(slerp(a, factor * a, t), a * (1 - t + t * factor), rtol=1e-4, atol=1e-4)


def test_slerp_keeps_the_length_that_samples_of_the_prior_have():
    a, b = torch.randn(2, 50, 3072)
    lengths = slerp(a, b, 0.5).norm(dim=1) / 3072**0.5
    torch.testing.assert_close(lengths, torch.ones(50), rtol=0.1, atol=0)
    straight = ((a + b) / 2).norm(dim=1) / 3072**0.5
    torch.testing.assert_close(straight, torch.full((50,), 0.5**0.5), rtol=0.1, atol=0)


def test_interpolations_begin_and_end_at_the_images():
    model = images_of()
    first, last = torch.randint(256, (2, 6, 1, 8, 8), dtype=torch.uint8)
    ways = interpolate(model, first, last, 5)
    assert ways.shape == (6, 5, 1, 8, 8)
    assert (ways[:, 0] - first).abs().max() <= 1  # a value within rounding of the next level
    assert (ways[:, -1] - last).abs().max() <= 1
    assert ((ways[:, 2] != first) & (ways[:, 2] != last)).float().mean() > 0.8


def test_round_trips_are_not_rounded_to_levels():
    images = torch.randint(256, (6, 1, 8, 8), dtype=torch.uint8)
    x, again = images_of().reconstruct(images)
    torch.testing.assert_close(again, x, atol=1e-5, rtol=0)
    assert torch.equal((x * 256).floor(), images.float())
    assert (x * 256 != images).float().mean() > 0.9


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)], ids=str)
def test_a_flow_has_three_pictures(shape, tmp_path):
    test = torch.randint(256, (130, shape[0], 1, 1), dtype=torch.uint8).expand(-1, *shape)
    draw(tmp_path, images_of(shape=shape), test)
    assert {path.name for path in tmp_path.iterdir()} == {"samples.png", "reconstructions.png", "interpolation.png"}
    assert all(path.stat().st_size < 150_000 for path in tmp_path.iterdir())


@pytest.mark.parametrize("examples", [1, 2, 3, 4, 5])
def test_few_test_images_are_drawn_and_one_has_no_other_to_go_to(examples, tmp_path):
    test = torch.randint(256, (examples, 1, 8, 8), dtype=torch.uint8)
    draw(tmp_path, images_of(), test)
    names = {"samples.png", "reconstructions.png"} | ({"interpolation.png"} if examples > 1 else set())
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.fixture
def panels(monkeypatch) -> list[dict[str, np.ndarray]]:
    """What the pictures of samples show."""
    shown: list[dict[str, np.ndarray]] = []
    write = images.image_samples
    monkeypatch.setattr(
        images, "image_samples", lambda path, panels, *rest: shown.append(panels) or write(path, panels, *rest)
    )
    return shown


def test_a_baseline_has_but_samples(tmp_path, panels):
    test = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8)
    for kind in (FlowModel, FittedModel):
        (tmp_path / kind.__name__).mkdir()
        draw(tmp_path / kind.__name__, images_of(kind), test)
    assert [path.name for path in (tmp_path / "FittedModel").iterdir()] == ["samples.png"]
    names = ["test data", "samples", "samples at temperature 0.7"]
    assert [[*shown] for shown in panels] == [names, names[:2]]


def test_cooler_samples_are_of_the_same_latents(tmp_path, panels, monkeypatch):
    model = images_of()
    monkeypatch.setattr(model, "generate", lambda z: z.view(-1, 1, 8, 8))
    draw(tmp_path, model, torch.zeros(1, 1, 8, 8))
    _, samples, cooler = panels[0].values()
    assert samples.std() > 0.9
    np.testing.assert_allclose(cooler, 0.7 * samples, rtol=1e-6)


def test_samples_of_all_flows_come_from_the_same_latents(tiny, monkeypatch):
    """So that they can be set side by side, however many samples a budget asks for."""
    latents: dict[str, list[torch.Tensor]] = {}
    for key, samples in ((IMAGES, 200), (STUDENT, 50), (STUDENT, 13)):
        training, cell = Training.load(tiny.trained(key)), tiny.cell(key)
        cell = replace(cell, evaluate=cell.evaluate.model_copy(update={"samples": samples}))
        model = cell.trained(training, 0)
        found = latents.setdefault(f"{key} {samples}", [])
        monkeypatch.setattr(model, "generate", lambda z, found=found: found.append(z) or z)
        subject = Subject(cell, training, 0, model, torch.from_numpy(np.array(cell.splits["test"])))
        assert len(subject.samples) == samples
    first, second, third = (torch.cat(found) for found in latents.values())
    assert torch.equal(first[:50], second)
    assert torch.equal(first[:13], third)


def test_all_flows_of_digits_whose_priors_are_alike_share_their_latents():
    root = Path(__file__).parents[2]
    params = config.load(root / "params.yaml")
    latents: dict[str, list[torch.Tensor]] = {}
    for cell in suites.load("laptop", params, root).cells.values():
        if cell.data == "digits":
            model = flows.build(
                cell.flow, Event((1, 8, 8), levels=17, classes=10), params.flows[cell.flow][cell.config]
            )
            resolved = SimpleNamespace(names=cell, evaluate=SimpleNamespace(samples=20, test_examples=None))
            found = Subject(resolved, None, 0, model, torch.zeros(30, 1, 8, 8)).latents
            name = str(model.prior().features if model.classes else model.prior())
            latents.setdefault(name, []).append(found[:, model.classes :])  # the labels stand in front
    normal = latents[str(standard_normal(64))]
    assert len(normal) >= 5
    assert normal[0].std() > 0.9
    assert all(torch.equal(normal[0], others) for others in normal)


def test_what_is_not_finite_is_drawn(tmp_path):
    model = images_of()
    model.transform.chain[1].decode = lambda z: (torch.full((len(z), 1, 8, 8), np.nan), z.new_zeros(len(z)))
    test = torch.randint(256, (30, 1, 8, 8), dtype=torch.uint8)
    draw(tmp_path, model, test, torch.full((30, 1, 8, 8), torch.inf))
    assert len(list(tmp_path.iterdir())) == 3
