"""A suite's report: one tidy frame of all values, what it allows to conclude, and the pages that show it.

Three layers, each importing only from those behind it in this list: ``views``, ``judgement``, ``frame``.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    earlier: str = "",
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
        earlier: ``results.csv`` of the report before; empty if there is none.

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
