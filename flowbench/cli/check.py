"""``flowbench check``: inverses and log-determinants against autograd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from flowbench import config

if TYPE_CHECKING:
    from flowbench.core import FlowModule


def check(
    name: Annotated[str | None, typer.Argument(help="A flow or a layer; all of both if left out.")] = None,
    points: Annotated[int, typer.Option(min=1, help="Random points that each is checked at.")] = 8,
) -> None:
    """Check inverses and log-determinants against autograd, in float64 and at random parameters."""
    params = config.load_here()
    from flowbench import certify, layers

    if name:
        config.known(name, [*params.flows, *layers.names()], "flows", "flow or layer")
    checked = failures = 0
    for checked, (subject, module, shape) in enumerate(_subjects(params, name), start=1):
        if checked == 1:
            print(f"{'':44}{'round trip':>12}{'log-det.':>12}")
        result = certify.certify(module, shape, points=points)
        verdict = "ok" if certify.passes(result) else "FAILED"
        failures += verdict != "ok"
        print(f"{subject:44}{result.round_trip_error:12.1e}{result.logdet_error:12.1e}  {verdict}", flush=True)
    if not checked:
        if not any(cell.flow == name for suite in params.suites.values() for cell in suite.all_cells.values()):
            raise config.ConfigError(f"{config.PARAMS}: nothing to check: no cell of any suite uses {name}")
        print(f"{name} is a baseline: it has no map whose inverse could be checked.")
        return
    print(f"\nTolerated: {certify.LARGEST_ROUND_TRIP_ERROR:g} and {certify.LARGEST_LOGDET_ERROR:g} nats.")
    if failures:
        raise typer.Exit(1)


def _subjects(params: config.Params, name: str | None) -> Iterator[tuple[str, FlowModule, tuple[int, ...]]]:
    """What is certified under a name, which may be that of a layer, of a flow, or of both."""
    from flowbench import certify, layers
    from flowbench.runtime.seeding import seeded

    if name in layers.names():
        with seeded(0):
            examples = list(layers.examples())
        yield from (example for example in examples if example[0].startswith(f"{name}: "))
    if name is None or name in params.flows:
        yield from certify.subjects(params, name)
