"""Stores of MLflow's that tests publish to."""

import shutil
from pathlib import Path

import pytest

from flowbench.tracking import store
from tests.tracking.stores import write


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A database with its tables and no run; making one takes seconds."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def new_store(empty_store, tmp_path_factory, monkeypatch):
    """A function that makes an empty store the one in use, in a root of its own or in a given one."""

    def use(root: Path | None = None) -> Path:
        root = root or tmp_path_factory.mktemp("root")
        shutil.copy(empty_store, root)
        monkeypatch.setattr(store, "ROOT", root)
        return root

    return use


@pytest.fixture
def results(tmp_path, new_store) -> Path:
    """Result files of the suite, and an empty store in use."""
    new_store()
    return write(tmp_path / "tiny")
