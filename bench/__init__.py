"""flowbench beside its peers: how long the same arithmetic takes in each library.

``make bench`` runs it, in an environment of its own. A peer's number stands only where the peer gives the same
log-density from the same weights.
"""
