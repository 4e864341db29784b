"""Which data can be had where the tests run."""

import os
from pathlib import Path

from flowbench import data
from flowbench.data._maf import ARCHIVE, MafTable
from flowbench.data._places import DownloadedSource
from flowbench.runtime.mirror import MIRROR


def can_be_had(source: data.Source) -> bool:
    """Whether a source needs no download, or the environment names a mirror that has the data."""
    mirror = os.environ.get(MIRROR)
    if not isinstance(source, DownloadedSource):
        return True
    if isinstance(source, MafTable):  # an archive of a gigabyte, which few mirrors have
        return bool(mirror) and Path(mirror, "maf", ARCHIVE).is_file()
    return bool(mirror)
