"""How an option of a flow or of a budget is written."""

from __future__ import annotations

from typing import Any


def words(name: str, value: Any) -> str:
    """``steps 32``, ``hidden 8 × 64``, ``no logit``."""
    if value is None or value is False:
        return f"no {name.replace('_', ' ')}" if name else "none"
    if value is True:
        return name.replace("_", " ") or "with"
    if isinstance(value, list) and len(set(value)) == 1:
        value = f"{len(value)} × {value[0]:,}"
    return f"{name.replace('_', ' ')} {value}".strip()
