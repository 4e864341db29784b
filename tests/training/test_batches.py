from itertools import chain, islice

import pytest
import torch

from flowbench.runtime.seeding import seeded
from flowbench.training import batches as module
from flowbench.training.batches import Batches, fits

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def drawn(examples: torch.Tensor, batch_size: int, count: int, device=CPU, **options) -> list[torch.Tensor]:
    with seeded(0):
        return list(islice(Batches(examples, batch_size, device, **options), count))


def numbered(n: int, batch_size: int, count: int) -> list[list[int]]:
    return [batch.tolist() for batch in drawn(torch.arange(n), batch_size, count)]


def images(n: int) -> torch.Tensor:
    """Images of which no two are alike, nor any the mirror of another."""
    return torch.arange(n * 2 * 3 * 4, dtype=torch.int32).view(n, 2, 3, 4)


def test_an_epoch_visits_every_example_once():
    found = numbered(12, 3, 8)
    epochs = [list(chain(*found[:4])), list(chain(*found[4:]))]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


def test_what_does_not_fill_a_batch_waits_for_a_later_epoch():
    found = numbered(10, 4, 40)
    assert {len(batch) for batch in found} == {4}
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert len(set(first + second)) == 8
    assert set(chain(*found)) == set(range(10))


def test_small_data_is_used_whole():
    assert [sorted(batch) for batch in numbered(3, 50, 2)] == [[0, 1, 2]] * 2


def test_examples_keep_their_type_and_nothing_writes_to_them():
    examples = images(6).to(torch.uint8)
    before = examples.clone()
    for batch in drawn(examples, 4, 5, horizontal_flips=True):
        assert batch.dtype == torch.uint8
        batch.fill_(0)
    assert torch.equal(examples, before)


def test_a_permutation_an_epoch_is_all_that_is_drawn():
    with seeded(3):
        expected = [torch.randperm(6), torch.randperm(6)]
        state = torch.get_rng_state()
    with seeded(3):
        found = list(islice(Batches(torch.arange(6), 3, CPU), 4))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.cat(found), torch.cat(expected))


def test_about_half_of_the_images_are_mirrored_left_to_right():
    examples = images(1000)
    plain, flipped = (drawn(examples, 1000, 1, horizontal_flips=flips)[0] for flips in (False, True))
    same = (plain == flipped).flatten(1).all(1)
    assert torch.equal(flipped[~same], plain[~same].flip(-1))
    assert 450 < int(same.sum()) < 550


def test_each_epoch_flips_anew():
    first, second = (
        batch[batch.flatten(1).amax(1).argsort()] for batch in drawn(images(200), 200, 2, horizontal_flips=True)
    )
    assert not torch.equal(first, second)
    assert torch.equal(first.sort(-1).values, second.sort(-1).values)


def test_vectors_are_never_flipped():
    examples = torch.arange(40.0).view(10, 4)
    plain, flipped = (drawn(examples, 5, 6, horizontal_flips=flips) for flips in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(plain, flipped, strict=True))


@pytest.mark.parametrize("horizontal_flips", [False, True])
def test_the_order_is_the_same_where_the_device_cannot_hold_the_examples(monkeypatch, horizontal_flips):
    expected = drawn(images(10), 4, 9, horizontal_flips=horizontal_flips)
    sent = []

    def send(batch):
        sent.append(batch)
        return batch

    monkeypatch.setattr(module, "fits", lambda *_: False)
    monkeypatch.setattr(module, "_sender", lambda _: send)
    found = drawn(images(10), 4, 9, horizontal_flips=horizontal_flips)
    assert len(sent) == 9
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@needs_gpu
@pytest.mark.parametrize("resident", [False, True])
def test_a_gpu_gets_the_same_batches(monkeypatch, resident):
    monkeypatch.setattr(module, "fits", lambda *_: resident)
    gpu = torch.device("cuda")
    examples = images(1000)
    expected = drawn(examples, 64, 50, horizontal_flips=True)
    found = drawn(examples, 64, 50, gpu, horizontal_flips=True)
    assert {batch.device.type for batch in found} == {"cuda"}
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, expected, strict=True))


def test_examples_fit_into_a_share_of_a_gpus_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4000, 10**12))
    gpu = torch.device("cuda")
    assert fits(torch.empty(1000, dtype=torch.uint8), gpu)
    assert not fits(torch.empty(1001, dtype=torch.uint8), gpu)
    assert not fits(torch.empty(1000), gpu)
    assert fits(torch.empty(1001), CPU)
