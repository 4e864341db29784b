import pytest

from flowbench.report.cells import load
from flowbench.report.families import families
from tests import fake_results

CELLS = {
    "digits-maf": ("digits", "maf"),
    "digits-cnf": ("digits", "cnf"),
    "digits-flow_matching": ("digits", "flow_matching"),
    "digits-flow_autoencoder": ("digits", "flow_autoencoder"),
    "digits-flow_autoencoder-reconstruction": ("digits", "flow_autoencoder"),
    "digits-iaf_distilled": ("digits", "iaf_distilled"),
}
FLOWS = {
    "digits-flow_matching": {"probes": 10},
    "digits-flow_autoencoder": {"flow_learns_by": "likelihood"},
    "digits-flow_autoencoder-reconstruction": {"flow_learns_by": "reconstruction"},
}


@pytest.fixture
def tables(tmp_path):
    """A function that makes up results and gives the tables of their families, each as rows of entries by head."""

    def make(cells=CELLS, **options):
        suite = fake_results.suite(cells)
        fake_results.write(tmp_path, suite, flow=FLOWS, **options)
        made = families([load(tmp_path / key, suite.name) for key in suite.all_cells])
        entries = [
            {
                row.name: dict(zip(table.columns, (value.text for value in row.values), strict=True))
                for row in table.rows
            }
            for table in made
        ]
        return made, entries

    return make


def _entries(table, row):
    return dict(zip(table.columns, (value.text for value in row.values), strict=True))


def test_each_table_holds_the_cells_that_it_is_of(tables):
    _, entries = tables()
    assert [list(rows) for rows in entries] == [
        ["cnf", "flow_matching"],
        ["flow_autoencoder", "flow_autoencoder-reconstruction"],
        ["iaf_distilled"],
    ]
    assert tables({"digits-maf": ("digits", "maf")}) == ([], [])


def test_a_solver_is_shown_with_its_cost_and_its_errors(tables):
    made, (rows, *_) = tables()
    assert rows["cnf"]["log p(x)"] == "exact"
    assert rows["flow_matching"]["log p(x)"] == "estimate, 10 probes"
    assert rows["cnf"]["probe spread, bits per dim"] == "–"
    assert rows["flow_matching"]["probe spread, bits per dim"] == "0.0200"
    for row in rows.values():
        assert row["tolerance"] == "1.0 × 10⁻⁵"
        assert (row["evaluations, density"], row["evaluations, sample"]) == ("62", "50")
        at_tolerance, tightened = row["round trip → tightened"].split(" → ")
        assert at_tolerance.endswith("10⁻⁵")
        assert tightened.endswith("10⁻⁶")
    assert made[0].titles.keys() == set(made[0].columns)


def test_a_flow_that_only_reconstructs_is_said_to_learn_no_density(tables):
    made, (_, rows, _) = tables()
    assert [row["flow learns by"] for row in rows.values()] == ["likelihood", "reconstruction"]
    assert rows["flow_autoencoder"]["squared error"].startswith("0.01")
    assert rows["flow_autoencoder"]["PSNR, dB"].startswith("20.0")
    assert rows["flow_autoencoder"]["bits per latent dim"].startswith("1.8")
    assert rows["flow_autoencoder-reconstruction"]["bits per latent dim"] == "–"
    assert "learns nothing about density, and so has no bits" in made[1].caption
    generative = {key: of for key, of in CELLS.items() if not key.endswith("reconstruction")}
    assert "learns nothing" not in tables(generative)[0][1].caption


def test_a_student_stands_beside_its_teacher(tables):
    made, (*_, rows) = tables()
    # Of two features the decoder with a full pass for each is the faster one.
    assert "costs little more" not in made[-1].caption
    assert "for few features it can be the faster" in made[-1].caption
    assert "1711.10433" in made[-1].caption
    row = rows["iaf_distilled"]
    assert row["teacher"] == "digits-maf"
    assert row["teacher's bits per dim"].startswith("2.1")
    assert row["bits per dim"].startswith("2.")
    assert " ± " in row["KL to teacher, nats"]
    assert row["standard error, nats"] == "0.00300"
    assert (row["faster than teacher here"], row["faster than D passes"]) == ("2.50 ×", "64.0 ×")
