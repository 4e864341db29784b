"""Samples after each map of a flow of the line or the plane."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowbench import flows
from flowbench.certificates import randomised
from flowbench.core import Event
from flowbench.evaluation import layers
from flowbench.evaluation.subject import Subject
from flowbench.runtime.seeding import seeded

LINE, PLANE = Event((1,)), Event((2,))
FLOWS = {
    "affine": (LINE, {}),
    "glow": (PLANE, {"steps": 3, "hidden": [8]}),
    "planar": (PLANE, {"layers": 4, "closed_form": "decode"}),
    "maf": (PLANE, {"layers": 2, "hidden": [8]}),
}


def subject_of(flow: str, event: Event, options: dict) -> Subject:
    with seeded(0):
        model = randomised(flows.build(flow, event, options))
        test = 5 + 2 * torch.randn(300, *event.shape)
        if not event.levels:
            model.initialise(test)
    cell = SimpleNamespace(
        source=SimpleNamespace(event=event), title="x", names=SimpleNamespace(data="x"),
        evaluate=SimpleNamespace(samples=100, test_examples=None, batch_size=50),
    )  # fmt: skip
    return Subject(cell, None, 0, model, test)


@pytest.mark.parametrize("flow", FLOWS)
def test_samples_are_seen_after_each_map(flow, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(layers, "through_layers", lambda *args: calls.append(args))
    subject = subject_of(flow, *FLOWS[flow])
    subject.draw(layers.PICTURES, tmp_path)
    ((_, panels, colours, _),) = calls
    names = [name for name, _ in panels]
    maps = [type(getattr(one, "module", one)).__name__ for one in reversed(subject.model.transform.chain)]
    assert names == ["latents", *(f"{i} {name}" for i, name in enumerate(maps, start=1)), "test data"]
    assert torch.equal(torch.from_numpy(panels[0][1]), subject.latents)
    np.testing.assert_allclose(panels[-2][1], subject.samples, atol=1e-5)
    moved = [not np.array_equal(one, other) for (_, one), (_, other) in pairwise(panels)]
    assert all(moved)
    assert np.array_equal(colours.argsort(), subject.latents[:, 0].argsort())


def test_of_many_maps_some_are_shown(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(layers, "through_layers", lambda *args: calls.append(args))
    subject_of("planar", PLANE, {"layers": 60, "closed_form": "decode"}).draw(layers.PICTURES, tmp_path)
    names = [name for name, _ in calls[0][1]]
    assert len(names) <= layers._PANELS + 1
    assert (names[0], names[-2].split()[0], names[-1]) == ("latents", "61", "test data")


@pytest.mark.parametrize(
    ("flow", "event", "options"),
    [
        ("cnf", PLANE, {"hidden": [8]}),
        ("maf", Event((3,)), {"layers": 1, "hidden": [8]}),
        ("gaussian", PLANE, {}),
        ("glow", Event((1, 8, 8), levels=17), {"steps": 1, "hidden": [8], "scales": 1}),
    ],
)
def test_what_has_no_such_layers_has_no_such_picture(flow, event, options, tmp_path):
    subject_of(flow, event, options).draw(layers.PICTURES, tmp_path)
    assert not list(tmp_path.iterdir())
