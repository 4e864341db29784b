"""The error of a wrong configuration, and the nearest right name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """Something that the user must change: a configuration, an argument or a file. One line names it and its value."""

    def __init__(self, message: str):
        # A name may hold a character that ends a line.
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


def known(name: str, choices: Iterable[str], where: str, kind: str) -> str:
    """``name`` if it is among ``choices``.

    Args:
        where: the file and the key that hold the name, or the argument of a command.
        kind: what the name should be, such as ``flow``.

    Raises:
        ConfigError: it is not; the message names the nearest choice.
    """
    if name in (choices := list(choices)):
        return name
    raise ConfigError(f"{where} = {name!r}: no such {kind}; {_hint(name, choices)}")


def known_argument(name: str, choices: Iterable[str], kind: str) -> str:
    """A command's argument ``name`` if it is among ``choices``; else a `ConfigError` with the nearest of them."""
    if name in (choices := list(choices)):
        return name
    raise ConfigError(f"argument {name!r}: no such {kind}; {_hint(name, choices)}")


def _hint(name: str, choices: Iterable[str]) -> str:
    """What may have been meant by ``name``."""
    choices = sorted(set(choices))
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(choices) or 'nothing'}"
