"""Project the active suite's results into MLflow: ``python -m stages.publish laptop``.

``--partial`` is for suites whose cells are run one by one, and goes without those that have not been run.
"""

from pathlib import Path

from flowbench import config
from stages import run


def main(suite: str, partial: bool = False) -> None:
    """Publish the cells of SUITE, the active one, and write published/SUITE.json with the digest of each.

    None is published if the files of one are not those that DVC has on record.
    """
    active = config.load().active
    config.known(suite, [active.name], "suite", "active suite")
    from flowbench import tracking
    from flowbench.records import lock
    from flowbench.runtime.files import whole, write_json

    results = Path("results")
    keys = [key for key in active.all_cells if not partial or (results / key / "metrics.json").is_file()]
    lock.check(keys)
    digests = tracking.publish(suite, keys, results)
    with whole(Path("published")) as folder:
        write_json(folder / f"{suite}.json", digests)


if __name__ == "__main__":
    run(main)
