"""What ``dvc.lock`` says of the stages: what they depended on, and what they made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from flowbench.config import Suite

LOCK = Path("dvc.lock")


def stages(root: Path = Path()) -> dict[str, Any]:
    """The stages by name; none where there is no lock."""
    import yaml

    if not (root / LOCK).is_file():
        return {}
    return yaml.load((root / LOCK).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]


def digest(suite: Suite, root: Path = Path()) -> str:
    """SHA-256 of all that the lock says of a suite's code, data and cells, as JSON.

    Its report and what is published come after, and are left out: no report could hold its own digest.
    """
    items = {*suite.data, *suite.all_cells}
    last = {f"publish@{suite.name}", f"report@{suite.name}"}
    of_suite = {
        name: stage
        for name, stage in stages(root).items()
        if name not in last and (name == "code" or name.partition("@")[2] in items)
    }
    return hashlib.sha256(json.dumps(of_suite, sort_keys=True).encode()).hexdigest()
