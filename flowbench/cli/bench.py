"""``flowbench bench``: flows on a table of one's own."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from flowbench.config import ConfigError

_COMMAS = "Names between commas."


def bench(
    file: Annotated[Path, typer.Argument(help="A table: CSV, Parquet or NPZ, one example a row.")],
    flows: Annotated[
        str, typer.Option(help="Flows, or files of flows of your own, between commas; six of ours if left out.")
    ] = "",
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
    from flowbench.bench import DEFAULT_FLOWS, prepare

    labels = _names(flows) or DEFAULT_FLOWS
    print(f"{file}: checking it, and timing a few steps of {len(labels)} flows …", flush=True)
    made = prepare(file, labels, minutes=minutes, seeds=seeds, options=options, folder=folder)
    print(f"{made.folder}: {len(labels)} flows, {seeds} seeds, about {minutes:g} minutes", flush=True)
    if dry_run:
        return
    start = time.monotonic()
    made.run()
    print(f"\n{made.report}: made in {(time.monotonic() - start) / 60:.1f} minutes")
    _print_scores(made.report.with_name("results.csv"))
    if show:
        import webbrowser

        webbrowser.open(made.report.absolute().as_uri())


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _print_scores(path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(path)
    nats = frame[frame["metric"] == "nll_nats"].groupby("flow")["value"].agg(["mean", "min", "max"]).sort_values("mean")
    print("Negative log-likelihood of the test split, nats an example (mean, least and most of the seeds):")
    for row in nats.itertuples():
        print(f"  {row.Index:28} {row.mean:10.4f} {row.min:10.4f} {row.max:10.4f}")
