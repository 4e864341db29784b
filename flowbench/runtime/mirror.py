"""The mirror of public data that the environment names."""

from collections.abc import Mapping
from pathlib import Path

MIRROR = "FLOWBENCH_DATA_MIRROR"


def is_url(place: str) -> bool:
    """Whether ``place`` is the URL of a host. If it is not, it is a folder."""
    return place.startswith(("http://", "https://"))


def with_absolute_mirror(environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of ``environment`` for a process that works in another folder.

    If the mirror is a folder, its path is made absolute here, where the command was typed.
    """
    place = environment.get(MIRROR)
    if not place or is_url(place):
        return dict(environment)
    return {**environment, MIRROR: str(Path(place).expanduser().absolute())}
