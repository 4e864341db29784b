"""Write the report of a suite from what MLflow holds: ``python -m stages.report laptop``."""

import json
import tempfile
from pathlib import Path

from flowbench import config
from flowbench.config import suites
from stages import run

# Written by `make test-slow`.
SURVIVED = Path("reports", "survived.json")


def main(suite: str) -> None:
    """Write reports/SUITE/ for SUITE."""
    found = suites.load_fresh(suite, config.load())
    from flowbench import report, tracking

    published = json.loads(Path("published", f"{suite}.json").read_text(encoding="utf-8"))
    digests = published["cells"]
    survived = json.loads(SURVIVED.read_text(encoding="utf-8")) if SURVIVED.is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, suite)  # messages about a cell's files name its suite and its key
        tracking.fetch(suite, {key: digests[key] for key in found.cells if key in digests}, folder)
        report.write(
            folder,
            found,
            Path("reports", suite),
            digests=digests,
            lock=published["locks"],
            survived=survived,
        )


if __name__ == "__main__":
    run(main)
