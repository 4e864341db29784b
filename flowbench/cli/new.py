"""``flowbench new``: a flow or a data set of one's own that works, to begin with."""

from __future__ import annotations

import importlib
import keyword
from pathlib import Path
from typing import Annotated, Any

import typer

from flowbench import config
from flowbench.cli.expand import expand
from flowbench.config import PARAMS, ConfigError, plugins, suites
from flowbench.config.documents import check_names, read

# The suite whose cells the tests run.
SUITE = "smoke"
_FLOW_OPTIONS = "{layers: 4, hidden: [32, 32]}"
_TABLE_OPTIONS = "{layers: 8, hidden: [128, 128]}"
_DATA_OPTIONS = "{train: 2000, validation: 500, test: 500, radius: 2.0, width: 0.2}"

app = typer.Typer(help="Write a flow or a data set that works, to begin with.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name: lower-case letters, digits and _, as in Python.")]


def flow(name: Name) -> None:
    """Write a flow in plugins/flows/.

    It gets an entry in params.yaml, for the plane and for tables, and a cell in suites/smoke.yaml. It passes all checks
    from the start.
    """
    params = config.load_here()
    from flowbench import flows

    _check_name(name, [*params.flows, *flows.names()], "flow")
    _add(
        name,
        "flows",
        f"{name}: {{plane: {_FLOW_OPTIONS}, table: {_TABLE_OPTIONS}}}",
        f"- {{data: [moons], config: plane, budgets: {{smoke: [{name}]}}}}",
    )
    print(f"Check it with: flowbench check {name}")
    print(f"Run its cell with: flowbench run moons-{name} --suite {SUITE}")
    print("See it beside others in a report: add it to their list in another suite, such as suites/laptop.yaml")
    print(f"Compare it on a table of your own with: flowbench bench mine.csv --flows {name},maf")
    _print_way_back("flows", name)


def data(name: Name) -> None:
    """Write a data set in plugins/data/.

    It gets an entry in params.yaml and a cell in suites/smoke.yaml.
    """
    params = config.load_here()
    from flowbench import data

    _check_name(name, [*params.data, *data.names()], "data set")
    _add(
        name,
        "data",
        f"{name}: {_DATA_OPTIONS}",
        f"- {{data: [{name}], config: plane, budgets: {{smoke: [affine]}}}}",
    )
    print(f"Check it with: flowbench check {name}")
    print(f"Run its cell with: flowbench run {name}-affine --suite {SUITE}")
    _print_way_back("data", name)


def _print_way_back(kind: str, name: str) -> None:
    own = (plugins.OWN / kind / f"{name}.py").as_posix()
    print("Take all of it back, and with it all that you have not committed in params.yaml, suites/ and stages/, with:")
    print(f"  rm {own} && git checkout params.yaml suites stages && git clean -f suites/{SUITE}")


def _check_name(name: str, taken: list[str], kind: str) -> None:
    """Refuse a name that Python, YAML or a file of flowbench has a use for."""
    check_names([name], "NAME")
    if not (name.isidentifier() and name[0].islower() and name == name.lower()):
        raise ConfigError(f"NAME = {name!r}: choose lower-case letters, digits and _, beginning with a letter")
    if keyword.iskeyword(name):
        raise ConfigError(f"NAME = {name!r}: is a word of Python's; choose another")
    if name in taken:
        raise ConfigError(f"NAME = {name!r}: there is a {kind} of this name; choose another")


def _add(name: str, kind: str, entry: str, cell: str) -> None:
    """Write the file, its entry and its cell, and expand the suite; all of it, or nothing."""
    config.known_argument(SUITE, suites.names(), "suite")
    own, source = plugins.OWN / kind / f"{name}.py", suites.source(SUITE)
    template = Path(__file__).with_name("templates").joinpath(f"{kind}.py.txt").read_text(encoding="utf-8")
    expanded = [suites.folder(SUITE) / suites.CELLS, Path("stages", "data.yaml"), Path("stages", "suites.yaml")]
    before = {path: path.read_bytes() if path.is_file() else None for path in (own, PARAMS, source, *expanded)}
    if before[own] is not None:
        raise ConfigError(f"{own}: is there already")
    try:
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(template.replace("NAME", name), encoding="utf-8")
        _insert(PARAMS, kind, entry)
        _insert(source, "cells", cell)
        importlib.invalidate_caches()  # the folder may be newer than what Python knows of it
        suites.load(SUITE, config.load())
        for path in (own, PARAMS, source):
            print(path)
        expand([SUITE])
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        raise


def _insert(path: Path, key: str, entry: str) -> None:
    """Write ``entry`` behind the last one of the block ``key`` of a YAML file, whose comments and layout stay.

    Raises:
        ConfigError: the block is written in a way that this cannot add to.
    """
    before = read(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    heads = [number for number, line in enumerate(lines) if line.partition("#")[0].rstrip() == f"{key}:"]
    block = []
    for number in range(heads[0] + 1 if heads else len(lines), len(lines)):
        line = lines[number]
        if line.strip() and not line.lstrip().startswith("#"):
            if not line.startswith((" ", "- ")):
                break
            block.append(number)
    if block:
        first = lines[block[0]]
        lines.insert(block[-1] + 1, f"{first[: len(first) - len(first.lstrip())]}{entry}")
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if not block or not _has_grown(before[key], read(path)[key]):
        raise ConfigError(f"{path}: add to {key} by hand: {entry}")


def _has_grown(before: Any, after: Any) -> bool:
    """Whether one entry came behind the others, which are as they were."""
    old, new = (list(block.items()) if isinstance(block, dict) else list(block or []) for block in (before, after))
    return len(new) == len(old) + 1 and new[:-1] == old


app.command()(flow)
app.command()(data)
