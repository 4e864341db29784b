"""What counts as code, and which listings hold it: a cell is stale if code that it runs has changed, and only then."""

import fnmatch
import json
import shutil
import textwrap
from pathlib import Path

import pytest

from flowbench import data, flows
from flowbench.config import documents
from flowbench.records import closures
from flowbench.records.closures import code_digest, strip

ROOT = Path(__file__).parents[2]
IMAGES = "*/mnist */fashion_mnist */cifar10"
UCI = "*/magic */letter */pendigits */satimage"
MAF = "*/power */gas */hepmass */miniboone */bsds300"

CODE = '''\
"""A module."""

import math


class Circle:
    """A circle.

    In many lines.
    """

    def area(self, r):
        """π r²."""
        # A comment.
        text = "# no comment"  # a comment
        return math.pi * r**2, text


async def wait():
    r"""Raw."""
'''


def edited(*pairs: tuple[str, str]) -> str:
    text = CODE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "pairs",
    [
        [("# A comment.", "# Another comment.")],
        [("        # A comment.\n", "")],
        [("  # a comment", "")],
        [('"""A module."""\n', "")],
        [('"""A module."""', "'''A\n\nmodule\n'''")],
        [("    In many lines.\n", "    In\n\n    # many\n\n    lines.\n")],
        [('        """π r²."""\n', "")],
        [('r"""Raw."""', 'r"""Raw \\d."""')],
        [("import math\n", "\n\nimport math   \n\n\n")],
        [("return math.pi * r**2, text", "\n\n        return math.pi * r**2, text  # the area")],
    ],
    ids=str,
)
def test_comments_docstrings_and_blank_lines_are_no_code(pairs):
    assert strip(edited(*pairs)) == strip(CODE)


@pytest.mark.parametrize(
    "pairs",
    [
        [("r**2", "r**3")],
        [("# no comment", "# still no comment")],
        [("import math", "import cmath as math")],
        [("        return", "    return")],
        [("def area", "def size")],
        [('r"""Raw."""', "pass")],
    ],
    ids=str,
)
def test_code_is_code(pairs):
    assert strip(edited(*pairs)) != strip(CODE)


def test_what_is_left():
    assert strip(CODE) == textwrap.dedent(
        """\
        import math
        class Circle:
            def area(self, r):
                text = "# no comment"
                return math.pi * r**2, text
        async def wait():
        """
    )


@pytest.mark.parametrize(
    "source",
    [
        'x = """no docstring"""\n',
        'def f(x=1):\n    return """no docstring"""\n',
        'x = 1\n"""a string after code"""\n',
        'class A:\n    x = 1\n    """a string after code"""\n',
        'if True:\n    """a string in a block"""\n',
        'f(\n    """an argument""",\n)\n',
        'def f(): """on the line of code"""\n',
        'def f():\n    """with code beside it"""; return 1\n',
        'x = f"""{y}\nno docstring"""\n',
    ],
    ids=repr,
)
def test_strings_that_are_no_docstrings_stay(source):
    assert strip(source) == source


@pytest.mark.parametrize(
    "literal", ['"""a\n\nb"""', '"""a  \nb"""', 'f"""a\n\n{x}"""', 'f"""{x}\n  \n# b"""', "'''a\n'''"], ids=repr
)
def test_space_within_a_string_is_code(literal):
    source = f"def f():\n    return {literal}\n"
    assert strip(source) == source
    assert strip(f'def f():\n    """Doc.\n\n    More.\n    """\n\n    return {literal}  # comment\n') == source


def test_digest_is_of_what_is_left(tmp_path: Path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(CODE, encoding="utf-8")
    other.write_text(edited(("# A comment.", "# Another.")), encoding="utf-8")
    assert code_digest(one) == code_digest(other)
    other.write_text(edited(("r**2", "r**3")), encoding="utf-8")
    assert code_digest(one) != code_digest(other)


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A copy of the project's code, free to be edited, that the listings are made of. Its imports stay as they are."""
    for package in ("flowbench", "stages"):
        ignored = shutil.ignore_patterns("__pycache__", "*.png")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    closures._import_graph()  # of the code that is installed
    monkeypatch.setattr(closures, "ROOT", tmp_path)
    return tmp_path


def listings(tree: Path) -> dict[str, bytes]:
    """Every listing as the stage `code` writes it."""
    folder = tree / "code"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    closures.write(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.json")}


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> dict[str, set[str]]:
    """The source files in each listing of the project, by its name, such as ``flows/maf``."""
    folder = tmp_path_factory.mktemp("code")
    closures.write(folder)
    paths = folder.rglob("*.json")
    return {
        str(path.relative_to(folder).with_suffix("")): set(json.loads(path.read_text(encoding="utf-8")))
        for path in paths
    }


def test_there_is_a_listing_of_each_stage_flow_and_source(held):
    stages = [path.stem for path in (ROOT / "stages").glob("[a-z]*.py")]
    expected = {"stages": stages, "flows": flows.names(), "data": data.names(), "download": data.names()}
    assert held.keys() == {f"{folder}/{name}" for folder, names in expected.items() for name in names}


def test_only_code_changes_a_listing(tree, held):
    before = listings(tree)
    for path in [*tree.rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        text = f'"""Other words. {text[3:]}' if text.startswith('"""') else text
        path.write_text(f"# A comment.\n\n{text}\n\n# The end.\n", encoding="utf-8")
    assert listings(tree) == before, "comments, docstrings and blank lines of any file are no code"
    with (tree / "flowbench/flows/maf.py").open("a", encoding="utf-8") as file:
        file.write("UNUSED = 1\n")
    after = listings(tree)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"flows/maf.json", "flows/iaf_distilled.json"}
    assert changed == {f"{name}.json" for name, files in held.items() if "flowbench/flows/maf.py" in files}


def test_a_sentence_of_the_catalogue_changes_reports_and_no_result(tree, monkeypatch):
    before = listings(tree)
    catalogue = tree / "flowbench/metrics/catalogue.py"
    text = catalogue.read_text(encoding="utf-8")
    catalogue.write_text(text.replace("Samples drawn per second.", "Samples per second."), encoding="utf-8")
    after = listings(tree)
    assert {name for name in before if after[name] != before[name]} == {"stages/publish.json", "stages/report.json"}
    monkeypatch.setattr(closures, "stored_facts", lambda: [("bits_per_dim", "bits/dim", "lower", "worst", False)])
    combined = listings(tree)
    changed = {name for name in after if combined[name] != after[name]}
    assert changed == {"stages/evaluate.json", "stages/code.json"}


def test_the_listings_are_made_again_when_any_code_changes():
    """The folder of the stages itself holds the lock, so that it would always have changed."""
    stage = documents.read(ROOT / "stages" / "dvc.yaml")["stages"]["code"]
    scripts = {f"stages/{path.name}" for path in (ROOT / "stages").glob("*.py")}
    assert set(stage["deps"]) == {"flowbench", "plugins", "params.yaml"} | scripts


@pytest.mark.parametrize(
    ("path", "concerned"),
    [
        ("flowbench/flows/maf.py", "flows/maf flows/iaf_distilled"),
        ("flowbench/flows/glow.py", "flows/glow"),
        ("flowbench/layers/autoregressive.py", "flows/maf flows/made flows/nsf flows/iaf flows/iaf_distilled"),
        ("flowbench/layers/rescaling.py", "flows/nice"),
        ("flowbench/networks/mlp.py", "flows/glow flows/nice flows/nsf flows/realnvp flows/flow_autoencoder"),
        ("flowbench/layers/standardise.py", f"{' '.join(f'flows/{n}' for n in flows.names() if 'auto' not in n)}"),
        ("flowbench/data/two_modes.py", "data/two_modes download/two_modes"),
        ("flowbench/data/_fetch.py", f"{IMAGES} {UCI} {MAF}"),
        ("flowbench/data/_uci.py", UCI),
        ("flowbench/data/_maf.py", MAF),
        ("flowbench/data/_pickled.py", "*/gas"),
        ("flowbench/data/_rows.py", f"{UCI} */table"),
        ("flowbench/training/loop.py", "stages/train"),
        ("flowbench/evaluation/two_sample.py", "stages/evaluate"),
        ("flowbench/metrics/catalogue.py", "stages/code stages/evaluate stages/publish stages/report"),
        ("flowbench/tracking/__init__.py", "stages/publish stages/report"),
        ("flowbench/records/closures.py", "stages/code"),
        ("flowbench/cli/listing.py", ""),
        ("flowbench/verify.py", ""),
    ],
)
def test_code_concerns_those_that_run_it_and_no_others(held, path, concerned):
    found = {name for name, files in held.items() if path in files}
    wanted = concerned.split()
    assert {name for name in found if not any(fnmatch.fnmatch(name, pattern) for pattern in wanted)} == set()
    assert [pattern for pattern in wanted if not fnmatch.filter(found, pattern)] == []


@pytest.mark.parametrize(
    ("stage", "pattern"),
    [
        ("train", "flowbench/metrics/*"),
        ("train", "flowbench/evaluation/*"),
        ("train", "flowbench/flows/[a-z]*.py"),
        ("train", "flowbench/data/[a-z]*.py"),
        ("train", "flowbench/layers/[a-z]*.py"),
        ("train", "flowbench/report/*"),
        ("train", "flowbench/plotting/*"),
        ("train", "flowbench/tracking/*"),
        ("evaluate", "flowbench/training/*"),
        ("evaluate", "flowbench/flows/[a-z]*.py"),
        ("evaluate", "flowbench/data/[a-z]*.py"),
        ("evaluate", "flowbench/report/*"),
        ("evaluate", "flowbench/tracking/*"),
        ("publish", "flowbench/evaluation/*"),
        ("report", "flowbench/evaluation/*"),
        ("report", "flowbench/flows/*"),
        ("download", "flowbench/flows/*"),
        ("*", "flowbench/cli/*"),
    ],
)
def test_a_stage_depends_on_no_code_of(held, stage, pattern):
    for name in fnmatch.filter(held, f"stages/{stage}"):
        assert f"{name}.py" in held[name]
        assert fnmatch.filter(held[name], pattern) == []
