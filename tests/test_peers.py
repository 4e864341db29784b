"""``make bench``: what is timed, what must agree, and the page, without the other libraries."""

import copy
from functools import partial

import pytest
import torch

from bench import __main__ as command
from bench import agreement, page, peers, run, scales, timing, works
from bench.candidate import Candidate
from bench.copying import copy_linears, copy_made
from bench.parts import Parts, parts
from bench.run import OURS, Row
from bench.scaling import SIZES, Point, exponent
from bench.timing import Time
from bench.works import DENSITY, LOOP, SAMPLING, TRAIN, WORKS, Work, vectors
from flowbench.core import Event
from flowbench.networks.made import MADE
from flowbench.networks.mlp import mlp

SMALL = Work(
    "RealNVP, small",
    "realnvp",
    "realnvp",
    {"layers": 2, "hidden": [4]},
    vectors(2),
    8,
    40,
    goals={TRAIN: 1, SAMPLING: 1},
)


def test_each_round_times_every_task_in_an_order_of_its_own():
    told = []
    found = timing.in_turns({name: partial(told.append, name) for name in "abc"}, rounds=40, seconds=0.0)
    rounds = ["".join(told[i : i + 3]) for i in range(9, len(told), 3)]  # after three calls of each to warm up
    assert {"".join(sorted(one)) for one in rounds} == {"abc"}
    assert {time.rounds for time in found.values()} == {len(rounds)} == {40}
    assert {one[one.index("a") - 1] for one in rounds if one[0] != "a"} == {"b", "c"}


def test_a_summary_is_the_median_and_the_quartiles():
    assert timing.summary([4.0, 1.0, 2.0, 3.0, 5.0]) == Time(3.0, 2.0, 4.0, 5)
    assert timing.summary([4.0]) == Time(4.0, 4.0, 4.0, 1)


def test_slow_tasks_have_fewer_rounds(monkeypatch):
    monkeypatch.setattr(timing, "_warm_call", lambda task: 100.0)
    assert timing.in_turns({"a": lambda: None}, rounds=50)["a"].rounds == timing.LEAST_ROUNDS


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_no_work_is_the_identity(work):
    """Or two libraries would agree whatever they did."""
    model = work.ours().double().eval()
    x = work.data(64, torch.float64)
    with torch.no_grad():
        z, logdet = model.transform.encode(x)
    assert (z - x.flatten(1)).abs().max() > 0.1
    # What a wrong log-determinant would change is far above what is tolerated.
    assert logdet.std() > 1e4 * agreement.TOLERANCE * max(1.0, float(logdet.abs().max()))
    assert logdet.std() > 0.01


def test_the_same_function_agrees_and_another_one_does_not():
    assert agreement.agreement(SMALL, works.candidate) == "its log-density agrees to 0e+00"

    def other(ours, log_prob=lambda x: x, sample=lambda x: x):
        found = works.candidate(ours)
        return Candidate.density(found.model, lambda x: log_prob(found.log_prob(x)), lambda n: sample(found.sample(n)))

    with pytest.raises(ValueError, match=r"its log-density differs by .* of the largest value for the same weights"):
        agreement.agreement(SMALL, partial(other, log_prob=lambda value: value * (1 + 1e-6)))
    with pytest.raises(ValueError, match=r"its samples differ by .* nats in their mean log-density under ours"):
        agreement.agreement(SMALL, partial(other, sample=lambda x: x + 20))
    with pytest.raises(ValueError, match="its log-density differs by nan"):
        agreement.agreement(SMALL, partial(other, log_prob=lambda value: value * torch.nan))


@pytest.mark.parametrize("peer", peers.PEERS)
def test_a_peer_agrees_where_it_is_installed(peer):
    """`make bench` has them all; the tests' own environment has none."""
    pytest.importorskip(peers.MODULES.get(peer, peer))
    makers = {work: getattr(peers.load(peer), work.kind, None) for work in WORKS}
    told = [agreement.agreement(work, make) for work, make in makers.items() if make]
    assert told
    assert all("agrees to" in line for line in told)


def test_the_parts_of_a_call_are_those_of_its_operators():
    """A product of large matrices is nearly all of its work, and a small flow is nearly all overhead."""
    large = Work("", "maf", "maf", {"layers": 1, "hidden": [1500, 1500]}, vectors(200), batch=500, draws=1)
    found = parts(large, DENSITY)
    assert found.products > 0.6
    assert found.most[0][0] == "addmm"
    assert found.limit(0.9) == pytest.approx(0.9 / found.products)
    small = parts(SMALL, SAMPLING)
    assert small.products < 0.5
    assert small.operators > 20


def test_scales_around_the_maps_of_ours_are_the_same_flow():
    work = Work(
        "", "", "glow", {"steps": 1, "hidden": [4], "scales": 2}, Event((2, 8, 8)), batch=2, draws=2, goals={DENSITY: 1}
    )
    ours = work.ours().double()
    theirs = scales.density(ours, copy.deepcopy, encode="encode", decode="decode")
    x = work.data(3, torch.float64)
    assert torch.allclose(theirs.log_prob(x), ours.log_prob(x), rtol=1e-12)
    z, _ = theirs.model.encode(x)
    assert torch.allclose(theirs.model.decode(z), x, atol=1e-9)
    assert theirs.parameter_count() == works.candidate(ours).parameter_count()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_copied_made_is_the_same_function(reverse):
    torch.manual_seed(0)
    ours = MADE(3, [5, 4], outputs=2)
    torch.nn.init.normal_(ours.last.weight)
    theirs = [torch.nn.Linear(*sizes) for sizes in ((3, 5), (5, 4), (4, 6))]
    for layer in theirs:
        layer.register_buffer("mask", torch.zeros_like(layer.weight))
    copy_made(ours, theirs, reverse=reverse)
    x = torch.randn(7, 3)
    hidden = x.flip(1) if reverse else x
    for i, layer in enumerate(theirs):
        hidden = torch.nn.functional.linear(hidden, layer.weight * layer.mask, layer.bias)
        hidden = hidden.relu() if i < 2 else hidden
    outputs = hidden.unflatten(1, (3, 2))
    assert torch.allclose(outputs.flip(1) if reverse else outputs, ours(x), atol=1e-6)


def test_copied_layers_are_the_same_and_all_are_needed():
    torch.manual_seed(0)
    ours, theirs = mlp(2, [3], 4), mlp(2, [3], 4)
    torch.nn.init.normal_(ours[-1].weight)
    copy_linears(ours, [layer for layer in theirs if isinstance(layer, torch.nn.Linear)])
    x = torch.randn(5, 2)
    assert torch.equal(ours(x), theirs(x))
    with pytest.raises(ValueError, match="shorter"):
        copy_linears(ours, [theirs[0]])


def test_a_library_that_is_missing_and_one_that_fails_are_rows(monkeypatch):
    class Failing:
        @staticmethod
        def realnvp(ours):
            raise RuntimeError("no such option\nand more")

    def load(name):
        if name == "nflows":
            return Failing
        raise peers.Missing(f"ModuleNotFoundError: No module named {name!r}")

    monkeypatch.setattr(peers, "load", load)
    rows = list(run.measured([SMALL], rounds=2, say=lambda line: None))
    absent = [row for row in rows if row.work == "all"]
    assert {row.library for row in absent} == set(peers.PEERS) - {"nflows"}
    assert all(row.time is None and "No module named" in row.note for row in absent)
    failed = [row for row in rows if row.library == "nflows"]
    assert [(row.quantity, row.time, row.note) for row in failed] == [
        (quantity, None, "RuntimeError: no such option") for quantity in SMALL.goals
    ]
    timed = {row.quantity: row.time for row in rows if row.library == OURS}
    assert set(timed) == {TRAIN, SAMPLING, LOOP}
    assert all(time.median > 0 for time in timed.values())
    # The page says so, and has nothing to compare with.
    text = page.text(rows, [])
    assert "No other library was there.\n**Not compared:** normflows (ModuleNotFoundError: " in text
    assert "| all | – | zuko | not compared | ModuleNotFoundError: No module named 'zuko' |" in text


def test_the_page_compares_with_the_fastest(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "version", lambda name: "1.0")
    work = WORKS[0].name

    def row(library, seconds, quantity=TRAIN):
        return Row(work, quantity, library, Time(seconds, 0.9 * seconds, 1.1 * seconds, 5))

    rows = [row(OURS, 0.002), row("zuko", 0.004), row("nflows", 0.003), row(OURS, 0.0025, LOOP)]
    points = [Point("maf", axis, size, 1e-5 * size**2) for axis, sizes in SIZES.items() for size in sizes]
    page.write(tmp_path, rows, points, [Parts(work, TRAIN, 0.5, 1200, [("mm", 0.4), ("mul", 0.1)])])
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"| {work} | {TRAIN} | 2 ms (1.8 to 2.2) | nflows 3 ms (2.7 to 3.3) | 1.50 | 1.15 | yes |" in text
    assert f"| {work} | 2 ms (1.8 to 2.2) | 2.5 ms (2.25 to 2.75) |" in text
    assert "| maf | 2.00 | 2.00 | 2.00 |" in text
    assert f"| {work} | {TRAIN} | 50 % | 3.00 | 1,200 | `mm` 40 %, `mul` 10 % |" in text
    assert exponent(points, "maf", "batch") == pytest.approx(2)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md",
        "results.csv",
        "scaling.csv",
        "speed.png",
        "scaling.png",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--rounds", "0"], "--rounds: one at least"), (["pixels"], "no work's name holds pixels; there are: RealNVP")],
)
def test_mistakes_are_told(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    with pytest.raises(SystemExit):
        command.main()
    assert message in capsys.readouterr().err
