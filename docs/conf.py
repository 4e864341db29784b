"""How Sphinx makes the documentation. `make docs` writes it to docs/_build/html, without a network."""

import inspect
import json
import os
from contextlib import suppress
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, get_type_hints

from jinja2 import Environment, StrictUndefined

from flowbench.config import documents
from flowbench.metrics import METRICS

DOCS = Path(__file__).parent
ROOT = DOCS.parent
FIGURES = ROOT / "reports" / "laptop" / "figures"

project = "flowbench"
author = "The flowbench authors"
project_copyright = author
version = release = installed("normalizing-flow-benchmark")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "literal"  # docstrings name code in single backticks
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_default_options = {"exclude-members": "extra_repr, forward"}  # of every torch module
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # attributes stand in a class's text, and not once more as members
html_theme = "furo"
html_title = "flowbench"
html_show_copyright = False
html_show_sphinx = False


def in_folder(kind: str) -> list[str]:
    """The names of the files of a package of flowbench, without those below plugins/."""
    return sorted(path.stem for path in (ROOT / "flowbench" / kind).glob("[a-z]*.py"))


def pictures(flow: str) -> dict[str, str]:
    """The density that each variant of a flow has learnt on moons, by label: paths as the pages need them."""
    found = [*FIGURES.glob(f"moons-{flow}-density.png"), *sorted(FIGURES.glob(f"moons-{flow}-*-density.png"))]
    labels = {path: path.stem.removeprefix("moons-").removesuffix("-density") for path in found}
    return {label: Path(os.path.relpath(path, DOCS)).as_posix() for path, label in labels.items()}


def notebook(path: Path) -> str:
    """A notebook with its outputs, as Markdown."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            shown = output.get("data", {"text/plain": output.get("text", "")})
            if picture := shown.get("image/png"):
                parts.append(f"![What the cell draws](data:image/png;base64,{''.join(picture).strip()})")
            else:
                parts.append(f"```text\n{''.join(shown['text/plain'])}\n```")
    return "\n\n".join(parts)


# Pages that Jinja fills with what stands elsewhere in the repository.
FILLED: dict[str, dict[str, Any]] = {
    "first-steps": {"notebook": lambda: notebook(DOCS / "first-steps.ipynb")},
    "flows": {"flows": documents.read(ROOT / "flowbench" / "report" / "flows.yaml"), "pictures": pictures},
    "metrics": {"metrics": METRICS},
    "api/layers": {"names": in_folder("layers")},
    "api/flows": {"names": in_folder("flows")},
    "api/data": {"names": in_folder("data")},
}


def fill(app: Any, page: str, source: list[str]) -> None:
    """Replace a page's text by what Jinja makes of it."""
    if page in FILLED:
        jinja = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
        source[0] = jinja.from_string(source[0]).render(FILLED[page])


def plain_types(app: Any, function: Any, bound: bool) -> None:
    """Take the limits out of a function's types, which pydantic checks and a signature cannot show well."""
    if inspect.isfunction(function):
        with suppress(NameError, TypeError):  # of types that are there for type checkers alone
            function.__annotations__ = get_type_hints(function)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-before-process-signature", plain_types)
    app.connect("source-read", fill)
