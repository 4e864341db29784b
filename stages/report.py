"""Write the report of the active suite from what MLflow holds: ``python -m stages.report laptop``."""

import json
import tempfile
from pathlib import Path

from flowbench import config
from stages import run

# Written by `make test-slow`.
SURVIVED = Path("reports", "survived.json")


def main(suite: str) -> None:
    """Write reports/SUITE/ for SUITE, the active one."""
    active = config.load().active
    config.known(suite, [active.name], "suite", "active suite")
    from flowbench import tracking
    from flowbench.records import lock
    from flowbench.report import page

    digests = json.loads(Path("published", f"{suite}.json").read_text(encoding="utf-8"))
    survived = json.loads(SURVIVED.read_text(encoding="utf-8")) if SURVIVED.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        tracking.fetch(suite, {key: digests[key] for key in active.all_cells if key in digests}, Path(folder))
        page.write(Path(folder), active, Path("reports", suite), digests, lock.digest(active), survived)


if __name__ == "__main__":
    run(main)
