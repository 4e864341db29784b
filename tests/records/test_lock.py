import hashlib
import json
from pathlib import Path

import pytest

from flowbench import config
from flowbench.config import ConfigError, Suite, suites
from flowbench.records import lock
from flowbench.runtime.files import md5_of_folder

PARAMS = """\
data: {moons: {}, digits: {}}
flows: {maf: {plane: {}}, nice: {plane: {}}, glow: {plane: {}}}
budgets: {quick: {train: {steps: 2, batch_size: 6}}}
"""
SUITE = "about: x\nseeds: [0]\ncells: [{data: [moons], config: plane, budgets: {quick: [maf, nice, glow]}}]\n"
KEYS = ["moons-maf", "moons-nice", "moons-glow"]
# The first two are on record.
RECORDED = KEYS[:2]


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def root(tmp_path) -> Path:
    """A repository with the results of three cells of a suite, of which two are on record."""
    (tmp_path / "suites" / "tiny").mkdir(parents=True)
    (tmp_path / "stages").mkdir()
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    for name in ("tiny", "laptop"):
        (tmp_path / "suites" / f"{name}.yaml").write_text(SUITE, encoding="utf-8")
    for key in KEYS:
        path = f"results/tiny/{key}/metrics.json"
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(key, encoding="utf-8")
        if key in RECORDED:
            change(tmp_path, f"evaluate@{key}", outs=[{"path": path, "md5": md5(key)}])
    return tmp_path


def load(root: Path, name: str = "tiny") -> Suite:
    return suites.load(name, config.load(root / "params.yaml"), root)


def change(root: Path, *names: str, outs=(), lock: str = "suites/tiny/dvc.lock") -> None:
    """Put stages on record; JSON is YAML."""
    path = root / lock
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"schema": "2.0", "stages": {}}
    document["stages"] |= {name: {"outs": list(outs)} for name in names}
    path.write_text(json.dumps(document), encoding="utf-8")


def test_each_suite_has_the_lock_of_its_pipeline(root):
    assert lock.path_of(load(root)) == Path("suites/tiny/dvc.lock")
    assert lock.path_of(load(root, "laptop")) == Path("dvc.lock")


def test_outputs_are_those_of_the_stages(root):
    found = lock.outputs(load(root), ["evaluate@moons-maf", "evaluate@unknown"], root)
    assert found == {"results/tiny/moons-maf/metrics.json": md5("moons-maf")}
    assert lock.outputs(load(root, "laptop"), ["evaluate@moons-maf"], root) == {}


@pytest.mark.parametrize("key", RECORDED)
def test_a_file_that_is_not_on_record_is_named_with_its_copy_in_the_cache(root, key):
    suite = load(root)
    lock.check(suite, KEYS, root)
    (root / "results" / "tiny" / key / "metrics.json").write_text("damaged", encoding="utf-8")
    message = (
        rf"^results/tiny/{key}/metrics\.json: is not the file that suites/tiny/dvc\.lock has [^\n]* "
        rf"files/md5/{md5(key)[:2]}/{md5(key)[2:]} [^\n]*`dvc repro suites/tiny/dvc\.yaml`$"
    )
    with pytest.raises(ConfigError, match=message):
        lock.check(suite, KEYS, root)
    lock.check(suite, set(KEYS) - {key}, root)


@pytest.mark.parametrize("damage", ["changed", "missing", "too many"])
def test_a_folder_that_is_not_on_record_is_named_with_its_list_in_the_cache(root, damage):
    suite, folder = load(root), root / "results" / "tiny" / KEYS[0] / "trained"
    folder.mkdir()
    for seed in (0, 1):
        (folder / f"seed-{seed}.safetensors").write_text("weights", encoding="utf-8")
    listed = md5_of_folder(folder)
    change(root, f"train@{KEYS[0]}", outs=[{"path": f"results/tiny/{KEYS[0]}/trained", "md5": listed}])
    lock.check(suite, KEYS, root)
    path = folder / "seed-1.safetensors"
    {
        "changed": lambda: path.write_text("damaged", encoding="utf-8"),
        "missing": path.unlink,
        "too many": (folder / "x").touch,
    }[damage]()
    cached = rf"files/md5/{listed[:2]}/{listed[2:]} with the files that it lists"
    with pytest.raises(ConfigError, match=rf"^results/tiny/{KEYS[0]}/trained: is not the folder [^\n]* {cached} "):
        lock.check(suite, KEYS, root)
    lock.check(suite, KEYS[1:], root)


def test_what_is_missing_or_was_never_recorded_is_for_others_to_name(root):
    suite = load(root)
    (root / "results" / "tiny" / KEYS[0] / "metrics.json").unlink()
    (root / "results" / "tiny" / KEYS[2] / "metrics.json").write_text("made by hand", encoding="utf-8")
    lock.check(suite, KEYS, root)
    (root / lock.path_of(suite)).unlink()
    lock.check(suite, KEYS, root)


def test_a_suite_has_a_digest_of_its_data_and_cells_and_not_of_its_report(root):
    suite, found = load(root), []

    def digest() -> str:
        return lock.lock_digest(suite, root)

    found.append(digest())
    change(root, "publish", "report", "evaluate@a-cell-that-left")
    change(root, "code", "download@digits", lock="stages/dvc.lock")
    change(root, "train@moons-maf", lock="dvc.lock")
    assert digest() == found[0]
    change(root, "train@moons-maf")
    found.append(digest())
    change(root, "download@moons", lock="stages/dvc.lock")
    found.append(digest())
    assert len({*found, ""}) == 4
    assert lock.lock_digest(load(root, "laptop"), root) != digest()
    (root / lock.path_of(suite)).unlink()
    assert digest() == "", "data alone is no suite"


@pytest.mark.parametrize(
    "content", [b"<<<<<<< HEAD\nschema: '2.0'\n", b"schema: '2.0'\nstages:\n", b"[]", b"", b"\xff\xfe"]
)
def test_a_record_that_is_none_is_named(root, content):
    suite = load(root)
    (root / lock.path_of(suite)).write_bytes(content)
    for use in (lambda: lock.lock_digest(suite, root), lambda: lock.check(suite, KEYS, root)):
        with pytest.raises(ConfigError, match=r"^\S*suites/tiny/dvc\.lock: is no lock of DVC's; [^\n]*$"):
            use()
