"""``python -m bench``: time flowbench beside its peers, and write reports/bench."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import page, scaling
from bench.parts import parts
from bench.run import measured
from bench.timing import LEAST_ROUNDS
from bench.works import WORKS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="WORD", help="only works whose names hold one of these words")
    parser.add_argument("--rounds", type=int, default=15, help="how often each candidate is timed (default: 15)")
    parser.add_argument("--out", type=Path, default=Path("reports/bench"), help="where the report goes")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds: one at least")
    words = [word.casefold() for word in arguments.works]
    works = [work for work in WORKS if not words or any(word in work.name.casefold() for word in words)]
    if not works:
        parser.error(f"no work's name holds {', '.join(words)}; there are: {'; '.join(work.name for work in WORKS)}")
    rows, points, shares = [], [], []
    try:
        for row in measured(works, rounds=arguments.rounds):
            rows.append(row)
            time = f"{1000 * row.time.median:.3g} ms" if row.time else f"is not compared ({row.note})"
            print(f"  {row.quantity}, {row.library}: {time}", flush=True)
        by_name = {work.name: work for work in works}
        for one in page.compared(rows):
            if not one.reached:
                print(f"{one.work}, {one.quantity}: where the time goes", flush=True)
                shares.append(parts(by_name[one.work], one.quantity))
        print("how the cost grows", flush=True)
        points += scaling.points(max(LEAST_ROUNDS, arguments.rounds // 3))
    finally:  # what was timed before an error or Ctrl-C is kept
        page.write(arguments.out, rows, points, shares)
        print(f"{arguments.out}/README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
