"""Write the report of a suite from what MLflow holds: ``python -m stages.report laptop``."""

import json
import tempfile
from pathlib import Path

from flowbench import config
from flowbench.config import suites
from stages._run import run

REPORTS = Path("reports")
# Written by `make test-slow`.
SURVIVED = REPORTS / "survived.json"
# A suite of the tests, whose report git does not hold.
OF_TESTS = "smoke"


def main(suite: str) -> None:
    """Write reports/SUITE/ for SUITE, and the pages of reports/ that link all suites."""
    params = config.load()
    found = suites.load_fresh(suite, params)
    from flowbench import tracking
    from flowbench.records import tuning
    from flowbench.records.committed import committed
    from flowbench.report.views import page

    published = json.loads(Path("published", f"{suite}.json").read_text(encoding="utf-8"))
    digests = published["cells"]
    survived = json.loads(SURVIVED.read_text(encoding="utf-8")) if SURVIVED.is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, suite)  # messages about a cell's files name its suite and its key
        runs = tracking.fetch(suite, {key: digests[key] for key in found.cells if key in digests}, folder)
        refused = page.write(
            folder,
            found,
            REPORTS / suite,
            digests=digests,
            lock=published["locks"],
            survived=survived,
            earlier=[committed(f"{REPORTS}/{suite}/{name}") for name in (page.RESULTS, page.PREVIOUS)],
            runs=runs,
            own=Path("published", f"{suite}.html"),
            trials=tuning.read(found.trials),
        )
    for key, reasons in refused.items():
        print(f"{key} fails certification: {'; '.join(reasons)}")
    if suite != OF_TESTS:
        names = [name for name in suites.names() if name != OF_TESTS]
        page.write_index(REPORTS, {name: suites.load(name, params).about for name in names})


if __name__ == "__main__":
    run(main)
