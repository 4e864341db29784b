"""The real pipeline of two cells, whose stages write their outputs and do nothing else."""

import shutil
from pathlib import Path

from flowbench.config import suites
from tests.cli.commands import ROOT, run

SUITE = """\
about: two cells
seeds: [0, 1]
device: cpu
cells:
  - {data: [gaussian], config: plane, budgets: {smoke: [affine, gaussian]}}
"""
REPORT = """\
suite,cell,dataset,flow,seed,metric,value,unit,n,device
smoke,gaussian-affine,gaussian,affine,0,train_seconds,10.0,s,1,cpu
smoke,gaussian-affine,gaussian,affine,1,train_seconds,20.0,s,1,cpu
smoke,gaussian-affine,gaussian,affine,0,evaluate_seconds,3.0,s,1,cpu
smoke,gaussian-affine,gaussian,affine,1,evaluate_seconds,5.0,s,1,cpu
smoke,gaussian-affine,gaussian,affine,0,bits_per_dim,1.0,bits/dim,1,cpu
smoke,gaussian-gaussian,gaussian,gaussian,0,train_seconds,1.0,s,1,cuda
"""
# Each cell depends on the text of flowbench/<flow>.py alone.
STAGES = {
    "__init__": """\
from pathlib import Path


def write(folder, *names, text="made"):
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
""",
    "_run": "",
    "code": """\
from pathlib import Path

from stages import write

for name in ("stages/train", "stages/evaluate", "stages/report", "data/gaussian", "download/gaussian"):
    write("code", f"{name}.json")
for name in ("affine", "gaussian"):
    write("code", f"flows/{name}.json", text=Path("flowbench", f"{name}.py").read_text(encoding="utf-8"))
""",
    "download": """\
import sys

from stages import write

write(f"data/{sys.argv[1]}", "train.npy")
""",
    "train": """\
import json
import sys
from pathlib import Path

from stages import write

suite, cell = sys.argv[1:]
if "broken" in Path("flowbench", f"{cell.partition('-')[2]}.py").read_text(encoding="utf-8"):
    sys.exit("this flow is broken")
timings = {"host": {"device": "cpu", "device_name": "", "host": {}}, "git_commit": "", "started": 0.0,
           "seeds": {seed: {"train_seconds": 200.0} for seed in (0, 1)}}
write(f"results/{suite}/{cell}", "trained/seed-0", "history.csv")
write(f"results/{suite}/{cell}", "train_timings.json", text=json.dumps(timings))
""",
    "evaluate": """\
import json
import sys

from stages import write

suite, cell = sys.argv[1:]
files = ("seeds.csv", "log_prob/seed-0.npy", "pictures/one.png", "metrics.json")
timings = {"host": {"device": "cpu", "device_name": "", "host": {}}, "git_commit": "",
           "seeds": {seed: {"evaluate_seconds": [50.0, 1]} for seed in (0, 1)}}
write(f"results/{suite}/{cell}", *files, text="{}")
write(f"results/{suite}/{cell}", "timings.json", text=json.dumps(timings))
""",
    "publish": "pass\n",
    "report": "pass\n",
}


def prepare(monkeypatch) -> None:
    """A repository of DVC's in the working directory, with caches of its own."""
    from dvc.repo import Repo

    for name in ("SITE_CACHE_DIR", "GLOBAL_CONFIG_DIR", "SYSTEM_CONFIG_DIR"):
        monkeypatch.setenv(f"DVC_{name}", str(Path("dvc", name).absolute()))
    for name, text in STAGES.items():
        Path("stages", f"{name}.py").write_text(text, encoding="utf-8")
    shutil.copyfile(ROOT / "stages/dvc.yaml", "stages/dvc.yaml")
    for folder in ("flowbench", "plugins", "reports/smoke"):
        Path(folder).mkdir(parents=True)
    for flow in ("affine", "gaussian"):
        Path("flowbench", f"{flow}.py").write_text("whole", encoding="utf-8")
    Path("reports/smoke/results.csv").write_text(REPORT, encoding="utf-8")
    for path in Path("suites").iterdir():
        if path.stem != suites.DEFAULT:  # whose pipeline is the root's
            path.unlink()
    Path("suites/smoke.yaml").write_text(SUITE, encoding="utf-8")
    assert run("expand").exit_code == 0
    Repo.init(no_scm=True).close()
