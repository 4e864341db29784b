"""What comes from outside, a file, a name or the environment, does not run as code, nor is a secret told."""

import ast
import re
import sys
from pathlib import Path

import pytest

from flowbench import config, data, flows
from flowbench.config import ConfigError
from flowbench.core import Event
from flowbench.runtime.files import without_secrets
from tests import tiny_cells
from tests.faults import stages

ROOT = Path(__file__).parents[1]
SOURCES = [*(ROOT / "flowbench").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]
SECRET = "hunter2-4f7c"
MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load"}


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_runs_what_it_reads(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not MODULES & {name.partition(".")[0] for name in names}
    for call in calls(tree):
        name = ast.unparse(call.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert name not in CALLS
        assert options.get("shell", "False") == "False"
        assert options.get("allow_pickle", "False") == "False"
        if name == "YAML":  # ruamel's other kinds make objects of what they read
            assert options.get("typ", "'rt'") in ("'rt'", "'safe'")
        if name in ("np.load", "numpy.load"):
            assert options["allow_pickle"] == "False"


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!x {}"])
def test_parameter_files_hold_no_objects(text, tmp_path):
    (tmp_path / "params.yaml").write_text(f"data: {text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not YAML"):
        config.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", ["affine;touch x", "affine$(id)", "../../affine"])
def test_no_name_reaches_a_shell_or_a_path_as_more(name, tmp_path):
    """Keys of cells are made of names of data sets and flows, which must be plain."""
    with pytest.raises(ConfigError, match=r"^params\.yaml: flows = '[^\n]*': is no name; [^\n]*$"):
        tiny_cells.configure(tmp_path, tiny_cells.PARAMS_TEXT.replace("  affine:", f'  "{name}":'))
    suite = tiny_cells.SUITE_TEXT.replace("affine", f'"{name}"')
    with pytest.raises(
        ConfigError, match=r"^suites/tiny\.yaml: cells\.0\.budgets\.tiny = '[^\n]*': is no name; [^\n]*$"
    ):
        tiny_cells.configure(tmp_path, suite=suite)


OUTSIDE = [
    "os",
    "os.system",
    "_assembly",
    "__init__",
    "../flows/nice",
    "nice.build",
    "flowbench.flows.nice",
    "",
    ".nice",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_lead_to_nothing_but_plug_ins(name):
    before = set(sys.modules)
    with pytest.raises(ConfigError):
        flows.build(name, Event((2,)), {})
    with pytest.raises(ConfigError):
        data.load(name)
    assert not {module for module in set(sys.modules) - before if not module.startswith(("flowbench", "torch"))}


def test_no_secret_of_the_environment_is_told(tiny, tmp_path, monkeypatch):
    from flowbench import tracking
    from flowbench.report.views import page

    root = tiny.copy(tmp_path / "copy")
    environment = {"AWS_SECRET_ACCESS_KEY": SECRET, "TOKEN": SECRET}
    told = [stages.run(root, stage, "tiny", tiny_cells.VECTORS, env=environment) for stage in ("train", "evaluate")]
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    monkeypatch.setattr("flowbench.tracking.store.ROOT", root)
    suite = tiny.cell(tiny_cells.VECTORS).suite
    digests = tracking.publish("tiny", [tiny_cells.VECTORS], root / "results" / "tiny")
    page.write(root / "results" / "tiny", suite, root / "reports" / "tiny", digests=digests, lock="", survived={})
    assert SECRET not in "".join(told)
    written = [path for path in root.rglob("*") if path.is_file()]
    assert {"mlflow.db", "index.html", "training.json"} <= {path.name for path in written}
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (f"at http://me:{SECRET}@host:80/path: expected", "at http://host:80/path: expected"),
        (f"https://host/file?token={SECRET} found", "https://host/file found"),
        ("sqlite:////srv/mlflow.db: locked", "sqlite:////srv/mlflow.db: locked"),
        ("did you mean 'x'? me@host", "did you mean 'x'? me@host"),
    ],
)
def test_messages_show_no_password_of_a_url(told, shown):
    assert without_secrets(told) == shown


def test_a_store_that_does_not_answer_keeps_its_password(monkeypatch, tmp_path):
    from flowbench import tracking

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=r"MLflow at http://127\.0\.0\.1:9") as error:
        tracking.publish("tiny", [], tmp_path)
    assert SECRET not in str(error.value)


def test_a_mirror_keeps_its_password(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    places = {"FLOWBENCH_DATA_MIRROR": f"http://me:{SECRET}@127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    output = stages.run(tmp_path, "download", "cifar10", env=places | {"no_proxy": ""}, succeeds=False)
    assert "//127.0.0.1:9/cifar10/plain_text" in output
    assert SECRET not in output


def test_the_readme_opens_mlflow_to_this_machine_alone():
    commands = re.findall(r"^mlflow (?:ui|server).*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert commands
    assert all("--host 127.0.0.1" in command for command in commands)
