"""``python -m bench.suite``: train and measure the flows of other libraries beside ours, and write reports/peers."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from bench import peers, suite
from flowbench.bench import Bench, BenchError
from flowbench.bench.folder import require_free, write
from flowbench.config import ConfigError

# DVC runs the suite in a folder of its own, where the libraries' flows are plug-ins.
FOLDER = Path("peers-bench")
REPORT = Path("reports", suite.NAME)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.suite", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each flow (default: 3)")
    parser.add_argument(
        "--data", nargs="+", choices=list(suite.DATA), default=list(suite.DATA), help="data sets (default: all)"
    )
    parser.add_argument("--dry-run", action="store_true", help="make the folder, run nothing")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds: one at least")
    there = set()
    for name in sorted({library for having in suite.ARCHITECTURES.values() for library in having}):
        try:
            peers.load(name)
            there.add(name)
        except peers.Missing as error:
            print(f"{name} is left out: {error}", flush=True)
    try:
        require_free(FOLDER)
        document = suite.document(there, arguments.data)
        of_suite = suite.suite(there, arguments.seeds, arguments.data)
        write(FOLDER, suite.NAME, of_suite, document, flows=suite.files())
        bench = Bench(suite.NAME, FOLDER, None)
        print(f"{FOLDER}: {', '.join(arguments.data)}; {', '.join(sorted(there)) or 'no other library'}", flush=True)
        if arguments.dry_run:
            return 0
        bench.run(lambda line: print(f"  {line}", flush=True))
    except (BenchError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(REPORT, ignore_errors=True)
    shutil.copytree(bench.report.parent, REPORT)
    print(f"{REPORT}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
