"""``flowbench check``: inverses and log-determinants against autograd."""

from typing import Annotated

import typer

from flowbench import config


def check(
    name: Annotated[str | None, typer.Argument(help="A flow or a layer; all of both if left out.")] = None,
    points: Annotated[int, typer.Option(min=1, help="Number of random points for each check.")] = 8,
) -> None:
    """Check inverses and log-determinants against autograd, in float64 and at random parameters."""
    params = config.load_here()
    from flowbench import certificates, flows, layers

    if name is not None:
        config.known_argument(name, [*params.flows, *flows.names(), *layers.names()], "flow or layer")
    checked = failures = 0
    results = {}
    for checked, (subject, module, shape) in enumerate(certificates.subjects(params, name), start=1):
        if checked == 1:
            print(f"{'':50}{'round trip':>12}{'log-det.':>12}")
        if isinstance(module, config.ConfigError):
            errors, faults = ("-", "-"), [str(module)]
        else:
            if (key := certificates.identity(module, shape)) not in results:
                results[key] = certificates.certify(module, shape, points=points)
            result = results[key]
            errors = (f"{result.round_trip_error:.1e}", f"{result.logdet_error:.1e}")
            faults = certificates.faults(result)
        print(f"{subject:50}{errors[0]:>12}{errors[1]:>12}  {'FAILED' if faults else 'ok'}")
        print("".join(f"    {fault}\n" for fault in faults), end="", flush=True)
        failures += bool(faults)
    if not checked:
        what = f"{name} is a baseline" if name in params.flows else f"{name} has no examples"
        print(f"{what}: it has no map whose inverse could be checked.")
        return
    print(f"\nTolerated: {certificates.LARGEST_ROUND_TRIP_ERROR:g} and {certificates.LARGEST_LOGDET_ERROR:g} nats.")
    if failures:
        raise typer.Exit(1)
