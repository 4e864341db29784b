"""``flowbench bench``: flows on a table of one's own."""

from __future__ import annotations

import math
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbench.cli.arguments import duration
from flowbench.config import ConfigError

if TYPE_CHECKING:
    from flowbench.bench.times import Plan
    from flowbench.cli.decisions import Decision

_COMMAS = "Names between commas."


def bench(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A table: CSV, Parquet or NPZ, one example a row.")],
    flows: Annotated[
        str, typer.Option(help="Flows, or files of flows of your own, between commas; four of ours if left out.")
    ] = "",
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Fit a Gaussian and a mixture of them beside the flows.")
    ] = True,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long it should take on this machine.")] = 10.0,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each flow; with 3, intervals are shown.")] = 3,
    columns: Annotated[str, typer.Option(help=f"The columns to use; all if left out. {_COMMAS}")] = "",
    split: Annotated[str, typer.Option(help="random, or 'in order' for a time series.")] = "random",
    missing: Annotated[str, typer.Option(help="What to do with rows that lack a value: refuse or drop.")] = "refuse",
    repeated: Annotated[str, typer.Option(help="What to do with repeated rows: refuse, keep or drop.")] = "refuse",
    dequantise: Annotated[str, typer.Option(help=f"Columns of whole numbers that get noise. {_COMMAS}")] = "",
    as_they_are: Annotated[str, typer.Option(help=f"Columns of whole numbers that get none. {_COMMAS}")] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Where the benchmark goes; NAME-bench if left out. One that is there goes on.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what you changed in the folder, and flows that you do not name.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the table, make the folder, run nothing.")] = False,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in a browser in the end.")] = True,
) -> None:
    """Train and compare flows on a table of your own, and write a report.

    The folder holds a suite of its own, with all that it needs: run `dvc repro` in it again after changes.
    """
    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    options: dict[str, Any] = {"split": split, "missing": missing, "repeated": repeated}
    for name, text in {"columns": columns, "dequantise": dequantise, "as_they_are": as_they_are}.items():
        if text:
            options[name] = _names(text)
    from flowbench.bench import BASELINES, DEFAULT_FLOWS, prepare
    from flowbench.data import DataError

    labels = _names(flows) or [label for label in DEFAULT_FLOWS if label not in BASELINES]
    if baselines:
        labels = list(dict.fromkeys([*BASELINES, *labels]))
    start = time.monotonic()
    count = f"{len(labels)} model{'s' * (len(labels) != 1)}, {seeds} seed{'s' * (seeds != 1)}"
    print(f"{file}: checking the table and {count}", flush=True)
    asked: dict[str, Any] = {"minutes": minutes, "seeds": seeds, "options": options, "folder": folder, "fresh": fresh}
    try:
        made = prepare(file, labels, **asked, tell=_tell)
    except DataError as error:
        from flowbench.cli.decisions import undecided

        decisions, fault = undecided(file, options, error)
        raise DataError(_told(ctx, file, decisions, fault) if decisions else str(error)) from None
    checking = time.monotonic() - start
    print(f"{made.folder}: {_divided(made.plan, minutes, seeds)}", flush=True)
    if dry_run:
        return
    parts = {"checking and timing": checking} | made.run(_tell)
    print(f"\n{made.report}: made in {(time.monotonic() - start) / 60:.1f} minutes")
    print(f"  {', '.join(f'{duration(seconds)} of {part}' for part, seconds in parts.items())}")
    _print_scores(made.report.with_name("results.csv"))
    if show:
        import webbrowser

        webbrowser.open(made.report.absolute().as_uri())


def _tell(line: str) -> None:
    print(f"  {line}", flush=True)


def _divided(plan: Plan | None, minutes: float, seeds: int) -> str:
    """How the time is divided, and whether it is enough."""
    if plan is None:
        return "goes on with the steps that it has; only what has changed is run"
    from flowbench.bench.times import USEFUL_STEPS

    shares = plan.shares
    whole = f"about {duration(sum(shares))}"
    if sum(shares) > 1.1 * 60 * minutes:
        whole += f", because {minutes:g} min are too short"
    parts = f"{duration(shares.training)} of training in equal shares, {duration(shares.measuring)} of measuring, and "
    parts += f"{duration(shares.starting)} to check the table, to start and to report"
    steps = ", ".join(f"{label} {steps:,}" for label, steps in plan.steps.items())
    each = " of each seed" * (seeds > 1)
    lines = [f"{whole}: {parts}", *([f"steps{each}: {steps}"] if steps else [])]
    if plan.enough:
        few = " and ".join(label for label, steps in plan.steps.items() if steps < USEFUL_STEPS)
        lines.append(
            f"{few} will be barely trained: for {USEFUL_STEPS} steps of each flow, "
            f"say --minutes {math.ceil(plan.enough)}"
        )
    return "\n  ".join(lines)


def _told(ctx: typer.Context, file: Path, decisions: list[Decision], fault: str) -> str:
    """What must be decided, and the command that goes through."""
    lines = [f"{file}: {len(decisions)} thing{'s' * (len(decisions) != 1)} must be decided:"]
    lines += [f"  {one.found}: {one.advice}" for one in decisions]
    if fault:
        return "\n".join([*lines, f"No option mends this: {fault}"])
    return "\n".join([*lines, f"This goes through: {_command(ctx, file, decisions)}"])


def _command(ctx: typer.Context, file: Path, decisions: list[Decision]) -> str:
    """The command as it was given, with the options of some decisions."""
    decided = {one.option: one.value for one in decisions}
    words = ["flowbench", "bench", str(file)]
    for parameter in ctx.command.params:
        value = decided.get(name := str(parameter.name), ctx.params.get(name))
        given = getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"
        if name == "file" or (name not in decided and not given):
            continue
        if isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [parameter.opts[0], ",".join(value) if isinstance(value, list) else text]
    return shlex.join(words)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _print_scores(path: Path) -> None:
    import pandas as pd

    from flowbench.bench import BASELINES

    frame = pd.read_csv(path)
    nats, bits = (
        frame[frame["metric"] == metric].groupby("flow")["value"].agg(["mean", "min", "max"])
        for metric in ("nll_nats", "bits_per_dim")
    )
    print("Negative log-likelihood of the test split, the mean of the seeds with its least and most:")
    print(f"  {'':28} {'bits/dim':>10}   nats an example")
    for row in nats.sort_values("mean").itertuples():
        print(f"  {row.Index:28} {bits['mean'][row.Index]:10.4f} {row.mean:10.4f} ({row.min:.4f} to {row.max:.4f})")
    least = nats["mean"].groupby(nats.index.isin(BASELINES)).min()
    if len(least) == 2 and not least[False] < least[True]:
        print(f"No flow beats {nats['mean'].idxmin()}, which is no flow: train for more --minutes, or trust that one.")
