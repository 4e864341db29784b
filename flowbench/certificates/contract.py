"""The contract of `FlowModule`, watched while a map is checked."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from flowbench.config.sources import explain, file_of
from flowbench.core import FlowModule, FlowSequential, Inverse


class ContractError(Exception):
    """A map raised an error or returned what `FlowModule` does not allow; says which map and in which direction."""


class _Watched(FlowModule):
    """A map that passes on what another returns, and raises a `ContractError` where that breaks the contract."""

    def __init__(self, module: FlowModule):
        super().__init__()
        self.module = module
        self.domain = module.domain
        self.event: tuple[int, ...] | None = None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.event = tuple(x.shape[1:])
        return self._call("encode", x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, logdet = self._call("decode", z)
        if self.event not in (None, tuple(x.shape[1:])):
            self._refuse(
                "decode", f"expected events of shape {self.event}, as encode takes, found {tuple(x.shape[1:])}"
            )
        return x, logdet

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        if type(self.module).initialise is FlowModule.initialise:
            return self.encode(x)[0]
        with self._blamed_for("initialise"):
            return self.module.initialise(x)

    def _call(self, direction: str, x: Tensor) -> tuple[Tensor, Tensor]:
        version = x._version
        with self._blamed_for(direction):
            result = getattr(self.module, direction)(x)
        if not isinstance(result, tuple) or [isinstance(part, Tensor) for part in result] != [True, True]:
            self._refuse(direction, f"expected a pair of tensors (image, log-determinant), found {_described(result)}")
        image, logdet = result
        if len(image) != len(x) or image[0].numel() != x[0].numel():
            size = f"{len(x)} events of {x[0].numel()} numbers each, as it was given"
            self._refuse(direction, f"expected {size}; found the shape {tuple(image.shape)}, batch included")
        if logdet.shape != (len(x),):
            wanted = f"a log-determinant of shape (batch,) = ({len(x)},)"
            self._refuse(direction, f"expected {wanted}, found {tuple(logdet.shape)}")
        if not (image.is_floating_point() and logdet.is_floating_point()):
            self._refuse(direction, f"expected floating-point numbers, found {_described(result)}")
        if x._version != version:
            self._refuse(direction, "it changes its input in place; work on a copy")
        return image, logdet

    @contextmanager
    def _blamed_for(self, direction: str) -> Iterator[None]:
        try:
            yield
        except ContractError:  # which names the part of a chain that is to blame
            raise
        except Exception as error:
            self._refuse(direction, explain(error), error)

    def _refuse(self, direction: str, what: str, cause: Exception | None = None) -> None:
        kind = type(self.module)
        raise ContractError(f"{direction} of {kind.__name__} ({file_of(kind)}): {what}") from cause


def watch(module: FlowModule) -> _Watched:
    """Watch ``module``, which is changed, and each part of the chains within it."""
    for part in list(module.modules()):
        if isinstance(part, FlowSequential):
            part.chain = nn.ModuleList(_Watched(one) for one in part.chain)
        elif isinstance(part, Inverse):
            part.module = _Watched(part.module)
    return _Watched(module)


def _described(result: object) -> str:
    if isinstance(result, Tensor):
        return f"a tensor of {str(result.dtype).removeprefix('torch.')} and shape {tuple(result.shape)}"
    if isinstance(result, tuple):
        return f"({', '.join(_described(part) for part in result)})"
    return type(result).__name__
