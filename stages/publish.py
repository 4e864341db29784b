"""Project the active suite's results into MLflow: ``python -m stages.publish laptop``."""

from pathlib import Path

from flowbench import config
from stages import run


def main(suite: str) -> None:
    """Publish every cell of SUITE, the active one, and write published/SUITE.json with the digest of each."""
    active = config.load().active
    config.known(suite, [active.name], "suite", "active suite")
    from flowbench import tracking
    from flowbench.files import whole, write_json

    digests = tracking.publish(suite, active.cells, Path("results"))
    with whole(Path("published")) as folder:
        write_json(folder / f"{suite}.json", digests)


if __name__ == "__main__":
    run(main)
