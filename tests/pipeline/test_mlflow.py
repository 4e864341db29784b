"""MLflow holds a projection of the results: whoever deletes it loses nothing."""

import shutil

import pytest

from tests.pipeline.clone import PUBLISH


@pytest.mark.slow
def test_the_report_comes_back_without_mlflow_and_without_itself(copy):
    before = copy.files("reports/smoke")
    (copy.root / "mlflow.db").unlink()
    shutil.rmtree(copy.root / "mlartifacts")
    shutil.rmtree(copy.root / "reports" / "smoke")
    output = copy.repro()
    # Written anew, and not taken from a cache; from results that were not computed again.
    assert copy.ran(output) == [PUBLISH, "report"]
    assert (copy.root / "mlflow.db").is_file()
    assert copy.files("reports/smoke") == before
