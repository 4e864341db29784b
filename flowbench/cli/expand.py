"""``flowbench expand``: write the files that DVC reads from those that a person edits."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowbench import config
from flowbench.cli.arguments import complete_suite
from flowbench.config import suites


def expand(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Suites; all of them if left out.", show_default=False, autocompletion=complete_suite),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file would change.")] = False,
) -> None:
    """Write the files that DVC reads from those that you edit.

    These are the cells.json of each suite, and stages/data.yaml and stages/suites.yaml for what all share.
    A mistake in one suite does not stop the others.
    """
    params = config.load_here()
    from flowbench import data, flows

    stale, failed = [], False
    for name in names or suites.names():
        config.known_argument(name, suites.names(), "suite")
        try:
            suite = suites.load(name, params)
            for key, cell in suite.cells.items():
                teacher = suite.cells[cell.teacher].flow if cell.teacher else None
                flows.check_teacher(cell.flow, teacher, f"{suite.source}: {key}")
        except config.ConfigError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        if check and not suites.is_fresh(suite):
            stale.append(suite.folder / suites.CELLS)
        elif check and not (suite.folder / suites.PIPELINE).exists():
            stale.append(suite.folder / suites.PIPELINE)
        elif not check and suites.write(suite):
            print(f"{suite.folder / suites.CELLS}: {len(suite.cells)} cells. Run them with: {suite.repro}")
    for folder in sorted(path.parent for path in suites.SUITES.glob(f"*/{suites.CELLS}")):
        if not suites.source(folder.name).exists():
            print(
                f"{folder}: belongs to no suite, since {suites.source(folder.name)} is gone; remove it", file=sys.stderr
            )
            failed = True
    shared = {
        "data.yaml": (data.expanded(params.data), f"{len(params.data)} data sets"),
        "suites.yaml": (_listing(), f"{len(suites.names())} suites"),
    }
    for name, (text, holds) in shared.items():
        path = Path("stages", name)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale.append(path)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path}: {holds}")
    for file in stale:
        print(f"{file}: is stale; run `flowbench expand`", file=sys.stderr)
    if stale or failed:
        raise typer.Exit(2)


def _listing() -> str:
    """The text of ``stages/suites.yaml``: for each suite the path of its cells."""
    head = "# Made from the files of suites/ by `flowbench expand`; edit those instead."
    cells = {name: str(suites.folder(name) / suites.CELLS) for name in suites.names()}
    lines = [f"  {name}: {{cells: {path}}}" for name, path in cells.items()]
    return "\n".join([head, "suites:" if lines else "suites: {}", *lines, ""])
