"""The server from which stages start warm that tests run as processes of their own: one for each process of tests.

MLflow is imported as well, which takes a test that publishes most of its time.
"""

import os
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from flowbench.runtime.warm import PRELOADED, VARIABLE, warm

SPY = str(Path(__file__).parent / "pipeline" / "spy")
_MODULES = (*PRELOADED, "pandas", "mlflow.store.tracking.sqlalchemy_store")
# A server stands in only for a process that would have started as it has.
_ENVIRONMENT = {"PYTHONPATH": SPY, "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "passive"}
_servers = ExitStack()


@cache
def server() -> dict[str, str]:
    """What leads stages to the server, beside the environment of the tests."""
    # The spy watches only if it is there from the start.
    found = _servers.enter_context(warm({**os.environ, **_ENVIRONMENT, "SPY_NOTES": SPY}, _MODULES))
    return {**_ENVIRONMENT, VARIABLE: found[VARIABLE]}


def close() -> None:
    """End the server."""
    _servers.close()
