"""Seeds that depend on names only, and not on the order or the number of processes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_for(*names: str | int) -> int:
    """A seed of 63 bits for the named purpose, such as ``seed_for("moons", "glow", 0, "train")``."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(seed: int | torch.Generator) -> Iterator[None]:
    """Seed torch's global random state for a block, because ``torch.distributions`` take no generator."""
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
    # A GPU that has not been used has no state to keep, and a question about it would start it in every process.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
