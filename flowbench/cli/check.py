"""``flowbench check``: inverses and log-determinants against autograd; and data against what it should be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbench import config
from flowbench.cli.arguments import JsonOption, complete_flow, print_json
from flowbench.config import ConfigError
from flowbench.runtime.errors import ExpectedError

if TYPE_CHECKING:
    from flowbench.core import Check

# The configuration of a file that params.yaml does not list.
_GIVEN = "options"


def check(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE.py]",
            help="A flow, a layer or a data set, or a file with a flow; all flows and layers if left out.",
            autocompletion=complete_flow,
        ),
    ] = None,
    points: Annotated[int, typer.Option(min=1, help="Number of random points for each check.")] = 8,
    options: Annotated[
        str, typer.Option(help="Hyperparameters of a file that params.yaml does not list, such as '{layers: 4}'.")
    ] = "{}",
    as_json: JsonOption = False,
) -> None:
    """Check inverses and log-determinants against autograd.

    This is done in float64 and at random parameters.
    Of a data set it makes the splits, in a scratch folder, and refuses what a download would.
    """
    if name is not None and name.endswith(".py"):
        params, name = _with_file(Path(name), options)
    else:
        params = config.load_here()
    from flowbench import certificates, flows, layers

    if name is not None:
        maps = [*params.flows, *flows.names(), *layers.names()]
        config.known_argument(name, [*maps, *params.data], "flow, layer or data set")
        if name not in maps:
            _check_data(name, params.data[name], as_json)
            return
    found: list[dict[str, Any]] = []
    for subject, result, faults in _results(params, name, points):
        if not found and not as_json:
            print(f"{'':50}{'round trip':>12}{'log-det.':>12}")
        errors = (result.round_trip_error, result.logdet_error) if result else (None, None)
        found.append(
            {
                "subject": subject,
                "round_trip_error": errors[0],
                "logdet_error": errors[1],
                "passes": not faults,
                "faults": faults,
            }
        )
        if not as_json:
            shown = ["-" if error is None else f"{error:.1e}" for error in errors]
            print(f"{subject:50}{shown[0]:>12}{shown[1]:>12}  {'FAILED' if faults else 'ok'}")
            print("".join(f"    {fault}\n" for fault in faults), end="", flush=True)
    if as_json:
        print_json(found)
    elif not found:
        what = f"{name} is a baseline" if name in params.flows else f"{name} has no examples"
        print(f"{what}: it has no map whose inverse could be checked.")
    else:
        print(f"\nTolerated: {certificates.LARGEST_ROUND_TRIP_ERROR:g} and {certificates.LARGEST_LOGDET_ERROR:g} nats.")
    if not all(one["passes"] for one in found):
        raise typer.Exit(1)


def _results(params: config.Params, name: str | None, points: int) -> Iterator[tuple[str, Check | None, list[str]]]:
    """Each map with its check and its faults; without a check where it cannot be made."""
    from flowbench import certificates

    results: dict[tuple, Check] = {}
    for subject, module, shape in certificates.subjects(params, name):
        if isinstance(module, ConfigError):
            yield subject, None, [str(module).replace(f"{config.PARAMS}: flows.{name}.{_GIVEN}", "--options")]
            continue
        if (key := certificates.identity(module, shape)) not in results:
            results[key] = certificates.certify(module, shape, points=points)
        yield subject, results[key], certificates.faults(results[key])


def _with_file(path: Path, options: str) -> tuple[config.Params, str]:
    """Make a flow's file known to this process by its name; the configurations to check, and that name."""
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    name = path.stem
    if not name.isidentifier() or not name[0].islower():
        raise ConfigError(f"{path}: call the file by the flow's name, which begins with a to z, such as mine.py")
    params = config.load() if config.PARAMS.is_file() else config.Params(data={}, flows={}, budgets={})
    from flowbench import flows

    if path.resolve() not in [Path(folder, path.name).resolve() for folder in flows.__path__]:
        flows.__path__.append(str(path.absolute().parent))
    configurations = params.flows.get(name) or {_GIVEN: _parsed(options)}
    return params.model_copy(update={"flows": {name: configurations}}), name


def _parsed(options: str) -> dict[str, Any]:
    """Hyperparameters, written as in ``params.yaml``."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe").load(options)
    except YAMLError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ConfigError(f"--options = {options!r}: must be as in {config.PARAMS}, such as '{{layers: 4}}'")
    return found


def _check_data(name: str, options: dict[str, Any], as_json: bool) -> None:
    """Make the splits of a data set as a download does."""
    from flowbench import data

    fault = ""
    with tempfile.TemporaryDirectory(prefix="flowbench-check-") as folder:
        try:
            data.save(data.load(name, **options), Path(folder, name))
        except (ConfigError, ExpectedError) as error:
            fault = str(error)
    if as_json:
        print_json([{"subject": name, "passes": not fault, "faults": [fault] if fault else []}])
    else:
        print(f"{name}: {f'FAILED{chr(10)}    {fault}' if fault else 'ok'}")
    if fault:
        raise typer.Exit(1)
