"""Which source files a stage, a flow or a data source runs, found by following imports.

DVC follows no imports. Each cell depends on the listings written here instead, so it runs again if and only if
code that it runs has changed. Comments, docstrings and blank lines are no code.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import sys
import tokenize
from functools import cache
from pathlib import Path

from flowbench.metrics import stored_facts
from flowbench.runtime.files import write_json

ROOT = Path(__file__).parents[2]
# Packages of plug-ins: a registry loads a file of these by name, which no import statement shows.
PLUGINS = ("flows", "data")
# Files that say how metrics are shown as well. Results depend on `metrics.stored_facts` of them alone; reports on all.
_CATALOGUE = ("flowbench/metrics/catalogue.py", "flowbench/metrics/metric.py")


def write(folder: Path) -> None:
    """Write ``stages/<stage>.json``, ``flows/<flow>.json`` and ``data/<source>.json``: source file to digest.

    And ``download/<source>.json``, with all that the stage of that name runs for a source.
    """
    digest_of = cache(code_digest)  # most files are in many listings
    facts = hashlib.sha256(json.dumps(stored_facts()).encode()).hexdigest()

    def listing(name: str, *modules: str) -> None:
        path = folder / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        shows_metrics = name in ("stages/publish", "stages/report")
        digests = {}
        for source in closure(*modules):
            file = str(source.relative_to(ROOT))
            digests[file] = facts if file in _CATALOGUE and not shows_metrics else digest_of(source)
        write_json(path, digests)

    for path in (ROOT / "stages").glob("[a-z]*.py"):
        listing(f"stages/{path.stem}", f"stages.{path.stem}")
    for package in PLUGINS:
        for path in (ROOT / "flowbench" / package).glob("[a-z]*.py"):
            listing(f"{package}/{path.stem}", f"flowbench.{package}.{path.stem}", *_teacher(path))
    for path in (ROOT / "flowbench" / "data").glob("[a-z]*.py"):
        listing(f"download/{path.stem}", "stages.download", f"flowbench.data.{path.stem}")


def _teacher(path: Path) -> list[str]:
    """The module of the flow that a flow learns from: a teacher is loaded by its name, which no import shows."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name("TEACHER")], value=ast.Constant(str(name))):
                return [f"flowbench.flows.{name}"]
    return []


def closure(*modules: str) -> list[Path]:
    """The project's files that importing ``modules`` can load, themselves and the packages around them included."""
    graph = _import_graph()
    found: set[str] = set()
    waiting = [*modules]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph.find_modules_directly_imported_by(name)
            # Importing a module runs its packages first.
            waiting += [name.rpartition(".")[0]] if "." in name else []
    return sorted(_file(name) for name in found)


@cache
def _import_graph():
    import grimp

    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return grimp.build_graph("flowbench", "stages", exclude_type_checking_imports=True, cache_dir=None)


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def code_digest(path: Path) -> str:
    """SHA-256 of a Python file without its comments, docstrings and blank lines."""
    return hashlib.sha256(strip(path.read_text(encoding="utf-8")).encode()).hexdigest()


def strip(source: str) -> str:
    """Python source without comments, docstrings, blank lines and trailing space."""
    lines = source.split("\n")
    within: set[int] = set()  # rows that end within a string, where space and blank lines are content
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (row, column), (last, _) = token.start, token.end
        within.update(range(row, last))
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            first, last = node.body[0].lineno, node.body[0].end_lineno or node.body[0].lineno
            # Code that shares a line with a docstring stays, and the docstring with it.
            if all(other.lineno > last for other in node.body[1:2]) and lines[first - 1].lstrip()[:1] in "\"'rR":
                lines[first - 1 : last] = [""] * (last - first + 1)
                within.difference_update(range(first, last))
    return "".join(
        f"{line if row in within else line.rstrip()}\n"
        for row, line in enumerate(lines, start=1)
        if row in within or line.strip()
    )
