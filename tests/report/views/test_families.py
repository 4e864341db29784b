"""The tables of solvers, autoencoders and students, from cells that are made up."""

from flowbench.report.views import tables
from tests.report.made_up import entries


def test_each_table_holds_the_cells_that_it_is_of(families):
    found = [*tables.solvers(families), *tables.autoencoders(families), *tables.students(families)]
    assert [list(entries(table)) for table in found] == [
        ["cnf", "flow_matching"],
        ["flow_autoencoder", "flow_autoencoder-reconstruction"],
        ["iaf_distilled"],
    ]
    maf = families.only(lambda cell: cell.label == "maf")
    assert tables.solvers(maf) == tables.autoencoders(maf) == tables.students(maf) == []


def test_a_solver_is_shown_with_its_cost_and_its_errors(families):
    (table,) = tables.solvers(families)
    rows = entries(table)
    assert (rows["cnf"]["log p(x)"], rows["flow_matching"]["log p(x)"]) == ("exact", "estimate, 10 probes")
    assert (rows["cnf"]["probe spread, bits per dim"], rows["flow_matching"]["probe spread, bits per dim"]) == (
        *("–", "0.0200"),
    )
    for row in rows.values():
        assert row["tolerance"] == "1.0 × 10⁻⁵"
        assert (row["evaluations, density"], row["evaluations, sample"]) == ("62", "50")
        assert row["round trip, at tolerance"].endswith("10⁻⁵")
        assert row["round trip, tightened"].endswith("10⁻⁶")
    assert table.titles.keys() == set(table.columns)


def test_a_flow_that_only_reconstructs_is_said_to_learn_no_density(families):
    (table,) = tables.autoencoders(families)
    rows = entries(table)
    assert [row["flow learns by"] for row in rows.values()] == ["likelihood", "reconstruction"]
    assert rows["flow_autoencoder"]["squared error"].startswith("0.01")
    assert rows["flow_autoencoder"]["PSNR, dB"].startswith("20.0")
    assert rows["flow_autoencoder"]["bits per latent dim"].startswith("1.8")
    assert rows["flow_autoencoder-reconstruction"]["bits per latent dim"] == "–"
    assert "learns nothing about density, and has no bits" in table.caption
    (table,) = tables.autoencoders(families.only(lambda cell: cell.learns_by != "reconstruction"))
    assert "learns nothing" not in table.caption


def test_a_student_stands_beside_its_teacher(families):
    (table,) = tables.students(families)
    assert "for few features it can be the faster" in table.caption
    assert "1711.10433" in table.caption
    row = entries(table)["iaf_distilled"]
    assert row["teacher"] == "digits-maf"
    assert row["teacher's bits per dim"].startswith("2.1")
    assert row["bits per dim"].startswith("2.")
    assert "–" in row["KL to teacher, nats"]
    assert row["standard error, nats"] == "0.00300"
    assert (row["faster than teacher here"], row["faster than D passes"]) == ("2.50 ×", "64.0 ×")
