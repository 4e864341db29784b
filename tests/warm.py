"""Servers from which stages start warm that tests run as processes of their own: one for each path of modules.

MLflow is imported as well, which takes a test that publishes most of its time.
"""

import os
from contextlib import ExitStack
from functools import cache

from flowbench.runtime.warm import PRELOADED, VARIABLE, warm

_MODULES = (*PRELOADED, "pandas", "mlflow.store.tracking.sqlalchemy_store")
_servers = ExitStack()


@cache
def server(**environment: str) -> dict[str, str]:
    """The variable that leads stages to a server with this environment beside that of the tests."""
    found = _servers.enter_context(warm({**os.environ, **environment}, _MODULES))
    return {VARIABLE: found[VARIABLE]}


def close() -> None:
    """End all servers."""
    _servers.close()
