"""What cells are compared by: over which examples, with which noise."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from flowbench.report.judgement.comparisons import scores
from flowbench.report.judgement.verdict import verdict
from tests.report.made_up import frame

RNG = np.random.default_rng(0)
NATS = 2 * math.log(2)  # of one bit per dim in two dimensions


def cell(key, log_prob):
    """What comparisons look at in a cell's record."""
    return SimpleNamespace(key=key, record=SimpleNamespace(evaluation=SimpleNamespace(log_prob=log_prob)))


def measured(bits: dict[str, np.ndarray], truth=None):
    """A frame and cells from the bits per dim of each seed and example, by cell."""
    cells, values = [], {}
    for key, of in bits.items():
        means = of.mean(1).tolist()
        values[key] = {"bits_per_dim": means, "nll_nats": [NATS * mean for mean in means]}
        if truth is not None:
            values[key]["true_bits_per_dim"] = [float(truth[: of.shape[1]].mean())] * len(of)
        cells.append(cell(key, {seed: (-NATS * row).astype(np.float32) for seed, row in enumerate(of)}))
    return frame(values, n={key: of.shape[1] for key, of in bits.items()}), cells


def test_all_cells_are_compared_on_the_examples_of_the_one_with_fewest():
    bits = {"nice": RNG.normal(1, 1, (3, 500)), "cnf": RNG.normal(1, 1, (3, 100))}
    found = scores(*measured(bits), "bits_per_dim")
    assert found.left_out == {}
    assert found.table["nice"].tolist() == pytest.approx(bits["nice"][:, :100].mean(1).tolist(), rel=1e-5)
    assert found.table["cnf"].tolist() == pytest.approx(bits["cnf"].mean(1).tolist())
    table, _ = measured(bits)
    assert scores(table, (), "bits_per_dim").left_out == {"cnf": "other examples"}


def test_a_known_truth_is_that_of_the_same_examples():
    truth = RNG.normal(0, 1, 500)
    bits = {key: truth[:n] + RNG.normal(0.5, 0.01, (3, n)) for key, n in (("nice", 500), ("cnf", 100))}
    found = scores(*measured(bits, truth), "bits_per_dim")
    assert found.scale == "log"
    assert found.table.to_numpy() == pytest.approx(0.5, abs=0.01)
    # Without the record of each example, both are compared above the truth on their own.
    table, _ = measured(bits, truth)
    alone = scores(table, (), "bits_per_dim")
    assert alone.left_out == {}
    assert alone.table.to_numpy() == pytest.approx(0.5, abs=0.01)


def test_noise_of_the_examples_is_that_of_paired_differences():
    common = RNG.normal(0, 5, 400)
    bits = {key: common + RNG.normal(i, 1, (4, 400)) for i, key in enumerate("abc")}
    found = scores(*measured(bits), "bits_per_dim")
    means = {key: of.mean(0) for key, of in bits.items()}
    wanted = float(np.var(means["a"] - means["b"], ddof=1)) / 400
    assert found.shared[0, 1] == found.shared[1, 0] == pytest.approx(wanted, rel=1e-3)
    assert np.diag(found.shared) == pytest.approx(np.zeros(3))
    assert scores(*measured(bits), "energy_distance").table.empty


def test_alike_seeds_do_not_hide_the_noise_of_few_examples():
    bits = {key: np.tile(RNG.normal(mean, 1, 20), (3, 1)) for key, mean in (("a", 1.0), ("b", 1.2))}
    table, cells = measured(bits)
    assert verdict(table, (), "bits_per_dim", {}).chip == "clear"
    assert verdict(table, cells, "bits_per_dim", {}).chip == "tied"


def test_a_seed_that_a_cell_lacks_is_not_compared():
    table, cells = measured({"nice": RNG.normal(1, 1, (3, 50)), "glow": RNG.normal(1, 1, (3, 50))})
    table.loc[(table["cell"] == "glow") & (table["seed"] == 1), "lost"] = True
    found = scores(table, cells, "bits_per_dim")
    assert found.table["glow"].isna().tolist() == [False, True, False]
    assert found.shared[0, 1] > 0


def test_what_is_not_finite_is_left_out():
    cells = {"nice": [1.0, 1.1, 1.2], "glow": [1.0, math.nan, 1.0], "maf": [math.inf] * 3}
    table = frame({name: {"bits_per_dim": values} for name, values in cells.items()})
    found = scores(table, (), "bits_per_dim")
    assert list(found.table) == ["nice"]
    assert found.left_out == {"glow": "not finite", "maf": "not finite"}
