"""Make one data set: ``data/<name>`` with its splits and what is known of them."""

import logging
import sys
from pathlib import Path

from flowbench import config, data
from stages import run


def main(name: str) -> None:
    """Write data/NAME as params.yaml describes it."""
    sets = config.load().data
    options = sets[config.known(name, sets, "data", "data set")]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        data.save(data.load(name, **options), Path("data", name))
    except data.DataError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(main)
