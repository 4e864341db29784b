"""Check params.yaml and list the source that each part of a cell runs: ``python -m stages.code``."""

from pathlib import Path

from flowbench import config
from flowbench.config import PARAMS
from flowbench.runtime.files import whole
from stages._run import run


def main() -> None:
    """Check params.yaml and write code/, the source files behind each flow, data set and stage."""
    params = config.load()
    from flowbench import data, flows
    from flowbench.records import closures

    for flow, configurations in params.flows.items():
        config.known(flow, flows.names(), f"{PARAMS}: flows", "file in flowbench/flows or plugins/flows")
        for name, options in configurations.items():
            flows.check(flow, options, f"{PARAMS}: flows.{flow}.{name}")
    for name, options in params.data.items():
        data.load(name, **options)
    with whole(Path("code")) as folder:
        closures.write(folder, {name: options.get("source", name) for name, options in params.data.items()})


if __name__ == "__main__":
    run(main)
