"""One module for each peer. Each function takes our flow and returns the peer's own with the same weights.

Where a library has another scale than ours, such as a sigmoid, the adapter puts ours in its place through the method
that the library has for it. What else of ours stands in is said in the module and on the page.
"""

from __future__ import annotations

from importlib import import_module, metadata

# The modules of this package, and the distribution that each needs.
PEERS = {
    "nflows": "nflows",
    "normflows": "normflows",
    "zuko": "zuko",
    "freia": "FrEIA",
    "pyro": "pyro-ppl",
    "torchcfm": "torchcfm",
    "flow_matching": "flow_matching",
}

# What each is imported as, where that is another name.
MODULES = {"freia": "FrEIA"}


class Missing(Exception):
    """A peer cannot be imported; says why, in a line."""


def load(name: str):
    """The adapter of a peer.

    Raises:
        Missing: the peer is not installed, or fails when it is imported.
    """
    try:
        return import_module(f"bench.peers.{name}")
    except Exception as error:  # a peer may fail in whatever way
        raise Missing(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def version(name: str) -> str:
    """The installed version of a peer."""
    return metadata.version(PEERS[name])
