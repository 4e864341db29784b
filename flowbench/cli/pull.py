"""``flowbench pull``: the results of cells from where somebody shares them."""

from __future__ import annotations

import subprocess
import sys

import typer

from flowbench import config
from flowbench.cli.arguments import CellsArgument, SuiteOption, cells_of, load_suite
from flowbench.config import ConfigError, suites


def pull(
    names: CellsArgument,
    suite: SuiteOption = suites.DEFAULT,
) -> None:
    """Get the weights and results of cells from DVC's remote."""
    found = load_suite(suite, config.load_here())
    keys = cells_of(found, names)
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from flowbench.records import lock

    try:
        with Repo() as repo:
            remotes = list(repo.config["remote"])
    except DvcException as error:
        raise ConfigError(f"dvc: {' '.join(str(error).split())}") from None
    make = f"make {'it' if len(keys) == 1 else 'them'} with: flowbench run {' '.join(names)} --suite {suite}"
    if not remotes:
        raise ConfigError(
            f"there is no remote to pull from; name one with `dvc remote add --default NAME URL`, or {make}"
        )
    targets = [found.stage(step, key) for key in keys for step in ("train", "evaluate")]
    missing = [key for key in keys if not lock.outputs(found, [f"evaluate@{key}"])]
    if missing:
        raise ConfigError(f"{lock.path_of(found)}: has no {', '.join(missing)}, so nobody can share it; {make}")
    if subprocess.run([sys.executable, "-m", "dvc", "pull", *targets], check=False).returncode:
        print(f"not all of it is in the remote; {make}", file=sys.stderr)
        raise typer.Exit(1)
