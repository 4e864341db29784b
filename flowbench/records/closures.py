"""Which source files a stage, a flow or a data source runs, found by following imports.

DVC follows no imports. Each cell depends on the listings written here instead, so it runs again if and only if
code that it runs has changed. Comments, docstrings and blank lines are no code.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import json
import sys
import tokenize
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from flowbench.config import plugins
from flowbench.metrics import CONTRIBUTED, stored_facts
from flowbench.runtime.files import write_json

ROOT = Path(__file__).parents[2]
# Stages that run the files of metrics of one's own.
_WITH_METRICS = ("evaluate", "publish", "report")
# Files that say how metrics are shown as well. Results depend on `metrics.stored_facts` of them alone; reports on all.
_CATALOGUE = ("flowbench/metrics/catalogue.py", "flowbench/metrics/metric.py")


def write(folder: Path, sets: Mapping[str, str] | None = None) -> None:
    """Write ``stages/<stage>.json``, ``flows/<flow>.json`` and ``data/<data set>.json``: source file to digest.

    And ``download/<data set>.json``, with all that the stage of that name runs for a data set.

    Args:
        sets: the source of each data set; those that are called like a source need not be in it.
    """
    digest_of = cache(code_digest)  # most files are in many listings
    facts = hashlib.sha256(json.dumps(stored_facts()).encode()).hexdigest()

    def listing(name: str, *modules: str) -> None:
        path = folder / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        shows_metrics = name in ("stages/publish", "stages/report")
        digests = {}
        for source in closure(*modules):
            file = _shown(source)
            digests[file] = facts if file in _CATALOGUE and not shows_metrics else digest_of(source)
        write_json(path, digests)

    metrics = [module.__name__ for module in CONTRIBUTED]
    for path in (ROOT / "stages").glob("[a-z]*.py"):
        listing(f"stages/{path.stem}", f"stages.{path.stem}", *(metrics if path.stem in _WITH_METRICS else []))
    for flow in plugins.names("flowbench.flows", _folders("flows")):
        module = _module("flows", flow)
        listing(f"flows/{flow}", module, *_teacher(module))
    sources = {name: name for name in plugins.names("flowbench.data", _folders("data"))}
    for name, source in (sources | dict(sets or {})).items():
        module = _module("data", source)
        listing(f"data/{name}", module)
        listing(f"download/{name}", "stages.download", module)


def _folders(kind: str) -> list[str]:
    """Where the files of a kind of plug-in are: in the package, and below ``plugins/``."""
    return [str(ROOT / "flowbench" / kind), plugins.own(kind)]


def _module(kind: str, name: str) -> str:
    """The name by which a plug-in is imported."""
    entries = plugins.installed(f"flowbench.{kind}").get(name)
    return entries[0].module if entries else f"flowbench.{kind}.{name}"


def _teacher(module: str) -> list[str]:
    """The module of the flow that a flow learns from: a teacher is loaded by its name, which no import shows."""
    file = _file(module)
    for node in ast.parse(file.read_text(encoding="utf-8")).body if file else []:
        match node:
            case ast.Assign(targets=[ast.Name("TEACHER")], value=ast.Constant(str(name))):
                return [_module("flows", name)]
    return []


def closure(*modules: str) -> list[Path]:
    """The files that importing ``modules`` can load, themselves and the packages around them included.

    These are files of the project, files of one's own below ``plugins/``, and the packages of installed plug-ins.
    """
    graph = _import_graph()
    found: dict[str, Path] = {}
    waiting = [*modules]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if not (file := _file(name)):
            continue
        found[name] = file
        # The graph of the project does not hold files from elsewhere.
        waiting += graph.find_modules_directly_imported_by(name) if name in graph.modules else _imports(name, file)
        # Importing a module runs its packages first.
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return sorted(found.values())


@cache
def _import_graph():
    import grimp

    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return grimp.build_graph("flowbench", "stages", exclude_type_checking_imports=True, cache_dir=None)


def _imports(module: str, file: Path) -> list[str]:
    """The modules of flowbench and of its own package that a module outside of the project imports."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name(f"{'.' * node.level}{node.module or ''}", package)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    wanted = ("flowbench", package.partition(".")[0])
    return [name for name in names if name.partition(".")[0] in wanted and _file(name)]


def _file(module: str) -> Path | None:
    """The file of a module of the project, of one below ``plugins/``, or of an installed package, if there is one."""
    package, *rest = module.split(".")
    folders = [str(ROOT / package), str(plugins.OWN.absolute())]
    if package not in ("flowbench", "stages"):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return Path(spec.origin) if spec and spec.origin and not rest else None
        folders = spec.submodule_search_locations
    paths = [Path(folder, *rest) for folder in folders]
    files = [file for path in paths for file in (path / "__init__.py", path.with_suffix(".py"))]
    return next(filter(Path.is_file, files), None)


def _shown(file: Path) -> str:
    """A file's name in a listing: relative to the project, to ``plugins/``, or to what is installed."""
    for folder in (ROOT, Path.cwd()):
        if file.is_relative_to(folder):
            return str(file.relative_to(folder))
    return str(Path(*file.parts[-2:]))


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
