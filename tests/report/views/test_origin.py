"""What a page says of where its cells come from."""

from flowbench.records.training import TrainTimings
from tests import fake_results
from tests.report.made_up import written


def test_a_benchmark_outside_of_a_repository_is_made_again_in_its_folder(tmp_path):
    suite = fake_results.suite({"mine-maf": ("mine", "maf")})
    seconds = {seed: {"train_seconds": 30.0} for seed in range(3)}
    timings = TrainTimings(host=fake_results.HOST, git_commit="", started=0, seeds=seconds)
    report = written(tmp_path, suite, training={"mine-maf": {"timings": timings}})
    for shown in report.both:
        assert "outside of a git repository" in shown
        assert "git checkout" not in shown
        assert f"{suite.repro}\nflowbench verify CELL --suite {suite.name}" in shown
    assert "git checkout" in written(tmp_path / "other", suite).markdown
