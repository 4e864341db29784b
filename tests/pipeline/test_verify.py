"""``flowbench verify`` runs cells again, and finds what was altered."""

import subprocess

import pytest

from flowbench import verify

# A flow, and a student, whose teacher is trained again as well.
CELLS = ["moons-nice", "moons-iaf_distilled"]


def test_a_student_is_run_again_after_its_data_and_its_teacher(smoke, tmp_path, monkeypatch):
    ran = []

    def run(command, *, cwd, env, check):
        assert (check, env["PYTHONPATH"].split(":")[0]) == (True, str(smoke.root.resolve()))
        ran.append(command[2:])

    monkeypatch.setattr(subprocess, "run", run)
    folder = verify.run_again(smoke.suite, CELLS[1], tmp_path, smoke.root)
    assert folder == tmp_path / "results" / "smoke" / CELLS[1]
    assert ran == [
        ["stages.download", "moons"],
        ["stages.train", "smoke", "moons-maf"],
        ["stages.train", "smoke", CELLS[1]],
        ["stages.evaluate", "smoke", CELLS[1]],
    ]
    copied = {str(path.relative_to(tmp_path)) for kind in ("yaml", "json") for path in tmp_path.rglob(f"*.{kind}")}
    assert copied == {"params.yaml", "suites/smoke.yaml", "suites/smoke/cells.json"}


@pytest.mark.slow
def test_on_the_machine_that_made_them_numbers_are_equal(copy):
    before = copy.git("status", "--porcelain")
    output = copy.flowbench("verify", "--suite", "smoke", *CELLS)
    assert [line for line in output.splitlines() if line.endswith(": equal")] == [f"{key}: equal" for key in CELLS]
    assert copy.git("status", "--porcelain") == before


def test_an_altered_weight_is_found_before_anything_runs(copy):
    path = copy.root / "results" / "smoke" / CELLS[0] / "trained" / "seed-0.safetensors"
    content = path.read_bytes()
    path.unlink()  # a link into DVC's cache, maybe
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(verify.RecordError, match=r"^results/smoke/moons-nice/trained: is not the folder that "):
        verify.verify(copy.suite, CELLS[0], 0.05, copy.root)
