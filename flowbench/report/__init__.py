"""A suite's report: one tidy frame of all values, what it allows to conclude, and the pages that show it.

Three layers, each importing only from those behind it in this list: ``views``, ``judgement``, ``frame``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowbench.config import Suite


def write(
    results: Path,
    suite: Suite,
    folder: Path,
    *,
    digests: Mapping[str, str],
    lock: str,
    survived: Mapping[str, int],
    earlier: Sequence[str] = (),
) -> None:
    """Write the report of a suite to ``folder``: ``README.md``, ``index.html``, ``results.csv`` and ``figures/``.

    All of it is written, or none.

    Args:
        results: holds the files of each cell in ``<cell>/``; cells that are not there are named as not run.
        suite: whose report it is.
        folder: where it goes. The page draws with the scripts of ``../assets/``, and shows pictures without them.
        digests: the tags of the cells' MLflow runs, by cell.
        lock: the digest of what ``dvc.lock`` says of the suite; empty if unknown.
        survived: how many faults of each kind the tests have caused.
        earlier: ``results.csv`` of reports before, the newest first. The page tells the changes since the first that
            is not the same, so that it stays what it is once it is committed.

    Raises:
        RecordError: a file of a cell is missing or damaged.
    """
    from flowbench.report.views import page  # pandas, SciPy and matplotlib take seconds to load

    page.write(results, suite, folder, digests=digests, lock=lock, survived=survived, earlier=earlier)


def single_file(folder: Path) -> str:
    """The HTML page of the report in ``folder`` with all that it shows in it, to be sent or kept alone."""
    from flowbench.report.views import page

    return page.single_file(folder)


def write_index(reports: Path, suites: Mapping[str, str]) -> None:
    """Write ``README.md`` and ``index.html`` in ``reports``, which link the reports of suites.

    Args:
        suites: what each is about, by its name; those without a report are left out.
    """
    from flowbench.report.views import page

    page.write_index(reports, suites)


def write_runs(path: Path, suite: str, runs: Mapping[str, str]) -> None:
    """Write a page that leads from each cell to its run in MLflow.

    It is no part of the report, since the same results have other runs in another store.

    Args:
        path: of the page.
        runs: the address of each cell's run.
    """
    from flowbench.report.views import page

    path.write_text(page.render("runs.html.jinja", {"suite": suite, "runs": runs}), encoding="utf-8")
