"""Configurations with fewer and smaller layers, for tests of what a chain keeps if each of its layers does."""

from __future__ import annotations

from typing import Any

from flowbench.config import Params

_MOST, _WIDEST = 3, 32


def shallow(options: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters with at most three layers or steps, and small networks. Many configurations are then the same."""
    options = {name: min(value, _MOST) if name in ("layers", "steps") else value for name, value in options.items()}
    if options.get("hidden"):
        options["hidden"] = [min(size, _WIDEST) for size in options["hidden"][:2]]
    return options


def shallow_flows(params: Params) -> Params:
    """All configurations of all flows so, without those that are then the same as another of their flow."""
    flows = {}
    for flow, configurations in params.flows.items():
        found: dict[str, Any] = {}
        for name, options in configurations.items():
            if (fewer := shallow(options)) not in found.values():
                found[name] = fewer
        flows[flow] = found
    return params.model_copy(update={"flows": flows})
