"""Project a suite's results into MLflow: ``python -m stages.publish laptop``.

``--partial`` is for suites whose cells are run one by one, and goes without those that have not been run.
"""

from dataclasses import replace
from pathlib import Path

from flowbench import config
from flowbench.config import suites
from stages._run import run


def main(suite: str, partial: bool = False) -> None:
    """Publish the cells of SUITE, and write published/SUITE.json: the digest of each, and that of the locks.

    None is published if the files of one are not those that DVC has on record.
    """
    found = suites.load_fresh(suite, config.load())
    from flowbench import tracking
    from flowbench.records import lock
    from flowbench.records.files import METRICS_FILE
    from flowbench.runtime.files import whole, write_json

    keys = [key for key in found.cells if not partial or (found.results / key / METRICS_FILE).is_file()]
    lock.check(found, keys)

    def best() -> set[str]:
        from flowbench.report.judgement.verdict import best_cells  # pandas and SciPy take a second to load

        return best_cells(found.results, replace(found, cells={key: found.cells[key] for key in keys}))

    digests = tracking.publish(suite, keys, found.results, best)
    with whole(Path("published")) as folder:
        write_json(folder / f"{suite}.json", {"cells": digests, "locks": lock.lock_digest(found)})


if __name__ == "__main__":
    run(main)
