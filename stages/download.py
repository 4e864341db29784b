"""Make one data set: ``data/<name>`` with its splits and what is known of them."""

import logging
from pathlib import Path

from flowbench import config, data
from flowbench.runtime.files import without_secrets
from stages._run import run


class _Formatter(logging.Formatter):
    """Messages that show no password of a mirror."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def main(name: str) -> None:
    """Write data/NAME as params.yaml describes it."""
    sets = config.load().data
    options = sets[config.known(name, sets, f"{config.PARAMS}: data", "data set")]
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    data.save(data.load(name, **options), Path("data", name))


if __name__ == "__main__":
    run(main)
