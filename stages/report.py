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
    from flowbench.records import lock

    digests = json.loads(Path("published", f"{suite}.json").read_text(encoding="utf-8"))
    survived = json.loads(SURVIVED.read_text(encoding="utf-8")) if SURVIVED.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        tracking.fetch(suite, {key: digests[key] for key in found.cells if key in digests}, Path(folder))
        report.write(
            Path(folder),
            found,
            Path("reports", suite),
            digests=digests,
            lock=lock.lock_digest(found),
            survived=survived,
        )


if __name__ == "__main__":
    run(main)
