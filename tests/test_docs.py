"""The documentation: it builds without a warning and without a network, and the code on its pages runs."""

import csv
import doctest
import inspect
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flowbench import config, layers
from flowbench.config import documents, suites
from flowbench.data.table import Table
from tests.pipeline.clone import Clone

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TUTORIAL = "tutorial"
NOTEBOOK = DOCS / "first-steps.ipynb"
# What the tutorial's suite takes minutes with, and what takes seconds instead.
LARGE = {
    "sizes": "&sizes {train: 50000, validation: 5000, test: 20000}",
    "plane": "{train: &plane {steps: 1500, batch_size: 512, learning_rate: 0.004, clip_norm: 5.0}}",
}
SMALL = {
    "sizes": "&sizes {train: 2000, validation: 500, test: 2000}",
    "plane": "{train: &plane {steps: 20, batch_size: 64, snapshot_every: 20}, "
    "evaluate: {samples: 200, invertibility_points: 100, logdet_points: 2, grid: 60, throughput_seconds: 0.001, "
    "pictures: false}}",
}


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The code on a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


PAGES = [page.stem for page in sorted(DOCS.glob("*.md")) if page.stem != TUTORIAL and blocks(page.stem, "python")]


def run(code: str, name: str, space: dict) -> None:
    """Run code, whose results stand below it where it begins with ``>>>``."""
    if not code.startswith(">>> "):
        exec(compile(code, name, "exec"), space)
        return
    examples = doctest.DocTestParser().get_doctest(code, space, name, name, 0)
    told: list[str] = []
    result = doctest.DocTestRunner().run(examples, out=told.append, clear_globs=False)
    assert result.failed == 0, "".join(told)
    space |= examples.globs


def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    for library in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(library, reason=f"{library} builds the documentation; `make env` installs it")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", DOCS, tmp_path]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(r"<(?:link|script|img|iframe)\b[^>]*", page.read_text(encoding="utf-8"))
        assert [tag for tag in loaded if re.search(r"""(?:href|src)=["']?(?:https?:)?//""", tag)] == [], page.name
    for style in tmp_path.rglob("*.css"):
        assert not re.search(r"""(?:url\(|@import )["']?(?:https?:)?//""", style.read_text(encoding="utf-8")), (
            style.name
        )
    shown = {
        name: (tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in ("flows", "api/layers", "api/flows")
    }
    for flow, about in documents.read(ROOT / "flowbench" / "report" / "flows.yaml").items():
        assert about["name"] in shown["flows"]
        assert f'id="flowbench.flows.{flow}.build"' in shown["api/flows"]
        picture = f"moons-{flow}-density.png"
        assert (ROOT / "reports" / "laptop" / "figures" / picture).exists() == (f"_images/{picture}" in shown["flows"])
    assert all(f"flowbench.layers.{name}." in shown["api/layers"] for name in layers.names())


@pytest.mark.parametrize("page", PAGES)
def test_python_on_a_page_runs(page, tmp_path, monkeypatch):
    """In the order of the page, in a folder with the committed reports alone."""
    (tmp_path / "reports").symlink_to(ROOT / "reports")
    monkeypatch.chdir(tmp_path)
    space = {"__name__": page}
    for code in blocks(page, "python"):
        run(code, page, space)


def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    space = {"__name__": NOTEBOOK.stem}
    for cell in cells:
        run("".join(cell["source"]), NOTEBOOK.name, space)
    assert space["certificate"].passes
    assert len(space["samples"]) == 1000
    assert cells[-1]["outputs"][0]["data"]["image/png"]  # readers on GitHub see the picture


def test_the_tutorial_adds_a_flow_in_under_40_lines(tmp_path):
    """Its files and its commands as they stand there, in a clone with less data and smaller budgets."""
    (flow, use), (entry, suite) = blocks(TUTORIAL, "python"), blocks(TUTORIAL, "yaml")
    lines = [line for text in (flow, entry, suite) for line in text.splitlines() if line and not line.startswith("#")]
    assert len(lines) < 40
    clone = Clone.of_working_tree(tmp_path)
    for name, text in LARGE.items():
        clone.edit("params.yaml", text, SMALL[name])
    for text in (flow, suite):
        path = clone.root / text.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    clone.edit("params.yaml", "\nflows:\n", "\nflows:\n" + entry.partition("\n")[2])
    # The clone's code stands before the working tree's that is installed. DVC's stages stand in the clone anyway.
    own = {"PYTHONPATH": str(clone.root)}
    commands = "".join(blocks(TUTORIAL, "sh")).splitlines()
    told = {
        command: clone.run(*shlex.split(command), env=None if command.startswith("dvc ") else own)
        for command in commands
    }
    assert re.search(r"^my_radial/plane on vectors .* ok$", told["flowbench check my_radial"], re.MULTILINE)
    report = clone.root / "reports" / "radial"
    with (report / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for metric, limit in {
        "bits_per_dim": 10,
        "invertibility_error_max_float64": 1e-8,
        "logdet_error_max": 1e-8,
    }.items():
        values = {(row["flow"], row["seed"]): float(row["value"]) for row in rows if row["metric"] == metric}
        assert sorted(values) == [(name, seed) for name in ("maf", "my_radial") for seed in "012"]
        assert max(values.values()) < limit
    assert 'id="cell-moons-my_radial"' in (report / "index.html").read_text(encoding="utf-8")
    clone.python(f"{use}\nassert flow.log_prob(flow.sample(5)).shape == (5,)", env=own)


def test_every_option_of_a_table_is_explained():
    _, _, options = text_of("your-data").partition("## All options")
    assert re.findall(r"^\| `(\w+)` ", options, re.MULTILINE) == list(inspect.signature(Table).parameters)


def test_the_readme_counts_the_cells_of_each_suite():
    params = config.load(ROOT / "params.yaml")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    counts = {name: int(n) for name, n in re.findall(r"^\| `([\w-]+)` \|.*\| (\d+) \|$", text, re.MULTILINE)}
    assert counts == {name: len(suites.load(name, params, ROOT).cells) for name in suites.names(ROOT)}


def test_the_groups_of_plug_in_packages_are_those_that_are_read():
    (text,) = blocks("plugin-packages", "toml")
    groups = tomllib.loads(text)["project"]["entry-points"]
    assert list(groups) == ["flowbench.flows", "flowbench.layers", "flowbench.data", "flowbench.metrics"]
    assert re.findall(r"^\| `(flowbench\.\w+)`", text_of("plugin-packages"), re.MULTILINE) == list(groups)


def test_the_citation_is_of_this_version():
    cited = documents.read(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["authors"] == project["authors"]
