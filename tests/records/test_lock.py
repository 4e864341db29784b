import hashlib
from pathlib import Path

import pytest
import yaml

from flowbench.config import ConfigError
from flowbench.records import lock
from flowbench.runtime.files import md5_of_folder
from tests import fake_results


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def root(tmp_path):
    """A repository with the results of a cell and of a student, which are on record, and of one that is not."""
    stages = {}
    for key, step in (("moons-maf", "evaluate"), ("moons-iaf_distilled", "evaluate_student"), ("moons-nice", None)):
        path = f"results/{key}/metrics.json"
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(key, encoding="utf-8")
        stages[f"{step}@{key}"] = {"outs": [{"path": path, "md5": md5(key)}]}
    del stages["None@moons-nice"]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    return tmp_path


KEYS = ["moons-maf", "moons-iaf_distilled", "moons-nice"]


def test_outputs_are_those_of_the_stages(root):
    assert lock.outputs(["evaluate@moons-maf", "evaluate@unknown"], root) == {
        "results/moons-maf/metrics.json": md5("moons-maf")
    }


@pytest.mark.parametrize("key", KEYS[:2])
def test_a_file_that_is_not_on_record_is_named_with_its_copy_in_the_cache(root, key):
    lock.check(KEYS, root)
    (root / "results" / key / "metrics.json").write_text("damaged", encoding="utf-8")
    cached = f"files/md5/{md5(key)[:2]}/{md5(key)[2:]}"
    with pytest.raises(ConfigError, match=rf"^results/{key}/metrics\.json: is not [^\n]* {cached} [^\n]*$"):
        lock.check(KEYS, root)
    lock.check(set(KEYS) - {key}, root)


@pytest.mark.parametrize("damage", ["changed", "missing", "too many"])
def test_a_folder_that_is_not_on_record_is_named_with_its_list_in_the_cache(root, damage):
    folder = root / "results" / KEYS[0] / "trained"
    folder.mkdir()
    for seed in (0, 1):
        (folder / f"seed-{seed}.safetensors").write_text("weights", encoding="utf-8")
    listed = md5_of_folder(folder)
    change(root, f"train@{KEYS[0]}", outs=[{"path": f"results/{KEYS[0]}/trained", "md5": listed}])
    lock.check(KEYS, root)
    path = folder / "seed-1.safetensors"
    {
        "changed": lambda: path.write_text("damaged", encoding="utf-8"),
        "missing": path.unlink,
        "too many": (folder / "x").touch,
    }[damage]()
    cached = rf"files/md5/{listed[:2]}/{listed[2:]} with the files that it lists"
    with pytest.raises(ConfigError, match=rf"^results/{KEYS[0]}/trained: is not the folder [^\n]* {cached} [^\n]*$"):
        lock.check(KEYS, root)
    lock.check(KEYS[1:], root)


def test_what_is_missing_or_was_never_recorded_is_for_others_to_name(root):
    (root / "results" / KEYS[0] / "metrics.json").unlink()
    (root / "results" / KEYS[2] / "metrics.json").write_text("made by hand", encoding="utf-8")
    lock.check(KEYS, root)
    (root / "dvc.lock").unlink()
    lock.check(KEYS, root)


def test_a_suite_has_a_digest_of_its_cells_and_not_of_its_report(root):
    suite = fake_results.suite({"moons-maf": ("moons", "maf")})
    found = lock.digest(suite, root)
    change(root, "code", "report@tiny", "evaluate@of-another-suite")
    assert lock.digest(suite, root) == found
    change(root, "train@moons-maf")
    assert lock.digest(suite, root) not in (found, "")
    assert lock.digest(fake_results.suite({"moons-glow": ("moons", "glow")}), root) == ""


def change(root, *names, outs=()):
    path = root / "dvc.lock"
    document = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {"schema": "2.0", "stages": {}}
    document["stages"] |= {name: {"outs": list(outs)} for name in names}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


A = fake_results.suite({"moons-maf": ("moons", "maf")}, "a")
B = fake_results.suite({"b-nice": ("moons", "nice"), "b-maf": ("digits", "maf")}, "b")
C = fake_results.suite({"c-glow": ("digits", "glow")}, "c")
OF_A = ["code", "download@moons", "train@moons-maf", "report@a"]
OF_B = ["download@digits", "evaluate@b-maf"]


@pytest.fixture
def switched(tmp_path):
    """A repository that has run suite ``a``, and a way to switch to another; what is then on record, and where."""
    change(tmp_path, *OF_A)

    def to(suite):
        lock.switch(suite, [A, B, C], tmp_path)
        paths = [tmp_path / "dvc.lock", *(tmp_path / "reports").glob("*")]
        return {
            str(path.relative_to(tmp_path)): list(yaml.safe_load(path.read_text(encoding="utf-8"))["stages"])
            for path in paths
        }

    return tmp_path, to


def test_each_suite_has_a_record_of_its_own(switched):
    root, to = switched
    before = (root / "dvc.lock").read_text(encoding="utf-8")
    assert to(A) == {"dvc.lock": OF_A}
    assert (root / "dvc.lock").read_text(encoding="utf-8") == before
    assert to(B) == {"dvc.lock": OF_A[:2], "reports/a.lock": OF_A}
    change(root, *OF_B)
    assert to(C) == {
        "dvc.lock": ["code", "download@digits"],
        "reports/a.lock": OF_A,
        "reports/b.lock": [*OF_A[:2], *OF_B],
    }
    assert list(lock.stages(root)) == ["code", "download@digits"]
    assert set(lock.stages(root, "b")) == {*OF_A[:2], *OF_B}
    assert to(A) == {"dvc.lock": [*OF_A, "download@digits"], "reports/b.lock": [*OF_A[:2], *OF_B]}


def test_cells_of_several_suites_in_one_record_are_told_apart(switched):
    root, to = switched
    change(root, *OF_B)
    assert to(C) == {
        "dvc.lock": ["code", "download@digits"],
        "reports/a.lock": OF_A,
        "reports/b.lock": [*OF_A[:2], *OF_B],
    }


def test_the_newest_record_of_what_suites_share_counts(switched):
    root, to = switched
    to(B)
    change(root, "code", outs=["new"])
    to(A)
    assert lock.stages(root)["code"] == {"outs": ["new"]}


def test_what_is_of_no_suite_that_was_run_stays(switched):
    root, to = switched
    change(root, "download@digits", "train@a-cell-that-was-taken-out")
    assert to(A)["dvc.lock"] == [*OF_A, "download@digits", "train@a-cell-that-was-taken-out"]
    assert to(B)["dvc.lock"] == ["download@digits", "train@a-cell-that-was-taken-out", "code", "download@moons"]


def test_a_record_of_another_suite_is_refused(switched):
    root, to = switched
    lock.check_active(A, root)
    to(B)
    lock.check_active(B, root)
    with pytest.raises(ConfigError, match=r"^params\.yaml: active: [^\n]*: flowbench suite a$"):
        lock.check_active(A, root)


def test_a_record_is_written_as_dvc_writes_it(tmp_path):
    path = Path(__file__).parents[2] / "dvc.lock"
    lock._write(tmp_path / "again.lock", lock._read(path))
    assert (tmp_path / "again.lock").read_bytes() == path.read_bytes()


def test_without_a_record_there_is_nothing_to_switch(switched):
    root, _ = switched
    (root / "dvc.lock").unlink()
    lock.switch(B, [A, B, C], root)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"<<<<<<< HEAD\nschema: '2.0'\n", b"schema: '2.0'\nstages:\n", b"[]", b"", b"\xff\xfe"]
)
def test_a_record_that_is_none_is_named(switched, content):
    root, to = switched
    (root / "dvc.lock").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^\S*dvc\.lock: is no lock of DVC's; [^\n]*$"):
        to(B)
