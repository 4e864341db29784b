"""What is told while the pipeline runs."""

from contextlib import nullcontext
from io import StringIO

from flowbench import bench

LINES = [
    "Running stage 'stages/dvc.yaml:code':\n",
    "> python -m stages.code\n",
    "Updating lock file 'stages/dvc.lock'\n",
    "Stage 'suites/mine/dvc.yaml:train@mine-gaussian' didn't change, skipping\n",
    "Running stage 'suites/mine/dvc.yaml:train@mine-maf':\n",
    "a word of warning\n",
    "Running stage 'suites/mine/dvc.yaml:report':\n",
]


class Process:
    """In place of `dvc repro`, which has ended well."""

    def __init__(self, command, **options):
        self.options, self.stdout = options, StringIO("".join(LINES))

    def wait(self):
        return 0


def test_a_log_file_has_no_bars(table, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr(bench, "warm", nullcontext)
    started = []
    monkeypatch.setattr(
        "subprocess.Popen", lambda *args, **options: started.append(Process(*args, **options)) or started[0]
    )
    bench.Bench("mine", table.parent, None).run()
    assert started[0].options["env"]["TQDM_DISABLE"] == "1"


def test_each_stage_is_told_and_each_part_has_its_time(table, monkeypatch):
    monkeypatch.setattr(bench, "warm", nullcontext)
    monkeypatch.setattr("subprocess.Popen", Process)
    clock = iter([0.0, 1.0, 3.0, 9.0, 10.0])
    monkeypatch.setattr(bench.time, "monotonic", lambda: next(clock))
    told = []
    seconds = bench.Bench("mine", table.parent, None).run(told.append)
    assert told == ["code", "train@mine-gaussian is up to date", "train@mine-maf", "a word of warning", "report"]
    assert seconds == {"starting DVC": 1.0, "preparing the data": 2.0, "training": 6.0, "the report": 1.0}
