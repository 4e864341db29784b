"""The tables of solvers, autoencoders and students, from cells that are made up."""

from flowbench.report.views import tables
from tests.report.made_up import entries


def test_each_table_holds_the_cells_that_it_is_of(families):
    found = [tables.solvers(families), tables.autoencoders(families), tables.students(families)]
    assert [list(entries(table)) for table in found] == [
        ["digits-cnf", "digits-flow_matching"],
        ["digits-flow_autoencoder", "digits-flow_autoencoder-reconstruction"],
        ["digits-iaf_distilled"],
    ]
    maf = families.only(lambda cell: cell.label == "maf")
    assert all(table.empty for table in (tables.solvers(maf), tables.autoencoders(maf), tables.students(maf)))


def test_a_solver_is_shown_with_its_cost_and_its_errors(families):
    table = tables.solvers(families)
    rows = entries(table)
    assert (rows["digits-cnf"]["log p(x)"], rows["digits-flow_matching"]["log p(x)"]) == (
        "exact",
        "estimate, 10 probes",
    )
    assert (
        rows["digits-cnf"]["probe spread, bits per dim"],
        rows["digits-flow_matching"]["probe spread, bits per dim"],
    ) == (*("–", "0.0200"),)
    for row in rows.values():
        assert row["tolerance"] == "1.0 × 10⁻⁵"
        assert (row["evaluations, density"], row["evaluations, sample"]) == ("62", "50")
        assert row["round trip, at tolerance"].endswith("10⁻⁵")
        assert row["round trip, tightened"].endswith("10⁻⁶")


def test_a_flow_that_only_reconstructs_is_said_to_learn_no_density(families):
    table = tables.autoencoders(families)
    rows = entries(table)
    assert [row["flow learns by"] for row in rows.values()] == ["likelihood", "reconstruction"]
    assert rows["digits-flow_autoencoder"]["squared error"].startswith("0.01")
    assert rows["digits-flow_autoencoder"]["PSNR, dB"].startswith("20.0")
    assert rows["digits-flow_autoencoder"]["bits per latent dim"].startswith("1.8")
    assert rows["digits-flow_autoencoder-reconstruction"]["bits per latent dim"] == "–"


def test_a_student_stands_beside_its_teacher(families):
    table = tables.students(families)
    row = entries(table)["digits-iaf_distilled"]
    assert row["teacher"] == "digits-maf"
    assert row["teacher's bits per dim"].startswith("2.1")
    assert " to " in row["KL to teacher, nats"] or " ± " in row["KL to teacher, nats"]
    assert row["standard error, nats"] == "0.00300"
    assert (row["faster than teacher here"], row["faster than D passes"]) == ("2.50 ×", "64.0 ×")
