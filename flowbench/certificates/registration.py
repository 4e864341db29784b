"""Whether torch knows of everything that a model holds."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.distributions import Distribution

from flowbench.config import ConfigError
from flowbench.config.sources import file_of
from flowbench.core import FixedPrior


def require_registered(module: nn.Module) -> None:
    """Raise a `ConfigError` that names what ``module`` holds and torch does not know of.

    These are floating-point tensors, modules in plain lists, tuples and dictionaries, and distributions outside a
    `FixedPrior`. They would not be trained, saved, or moved to a GPU.
    """
    registered = {id(thing) for thing in (*module.parameters(), *module.buffers(), *module.modules())}
    for part in module.modules():
        if isinstance(part, FixedPrior):
            continue
        found = [
            place
            for name, value in vars(part).items()
            if name not in ("_parameters", "_buffers", "_modules")
            for place in _unregistered(name, value, registered)
        ]
        if found:
            raise ConfigError(
                f"{file_of(type(part))}: {type(part).__name__} holds what torch does not train, save or move to a GPU: "
                f"{', '.join(found)}"
            )


def _unregistered(name: str, value: object, registered: set[int]) -> Iterator[str]:
    """Names of the tensors, modules and distributions in an attribute, each with what it should be."""
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _unregistered(f"{name}[{place}]", item, registered)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unregistered(f"{name}[{key!r}]", item, registered)
    elif id(value) in registered:
        return
    elif isinstance(value, Tensor) and value.is_floating_point():
        yield f"the tensor {name} (use nn.Parameter or register_buffer)"
    elif isinstance(value, nn.Module):
        yield f"the module {name} (use nn.ModuleList or nn.ModuleDict)"
    elif isinstance(value, Distribution):
        yield f"the distribution {name} (use FixedPrior)"
