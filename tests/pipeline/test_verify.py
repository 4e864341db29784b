"""``flowbench verify`` runs cells again, and finds what was altered."""

import pytest

# A flow, and a student, whose teacher is trained again as well.
CELLS = ["smoke-moons-nice", "smoke-moons-iaf_distilled"]


@pytest.fixture(scope="module")
def clone(smoke, tmp_path_factory):
    return smoke.copy(tmp_path_factory.mktemp("verify"))


def test_on_the_machine_that_made_them_numbers_are_equal(clone):
    before = clone.git("status", "--porcelain")
    output = clone.flowbench("verify", *CELLS)
    assert [line for line in output.splitlines() if line.endswith(": equal")] == [f"{key}: equal" for key in CELLS]
    assert clone.git("status", "--porcelain") == before


def test_an_altered_number_is_found_before_anything_runs(clone):
    path = clone.root / "results" / CELLS[0] / "metrics.json"
    text = path.read_text(encoding="utf-8")
    path.unlink()  # a link into DVC's cache, maybe
    path.write_text(text.replace('"bits_per_dim": ', '"bits_per_dim": 1'), encoding="utf-8")
    output = clone.flowbench("verify", CELLS[0], succeeds=False)
    path.write_text(text, encoding="utf-8")
    assert f"results/{CELLS[0]}/metrics.json: altered: its MD5 is " in output
    assert "Traceback" not in output


def test_names_are_checked(clone):
    assert "did you mean 'smoke-moons-nice'?" in clone.flowbench("verify", "smoke-moons-nise", succeeds=False)
    assert "name the cells to run again, or say --all" in clone.flowbench("verify", succeeds=False)
