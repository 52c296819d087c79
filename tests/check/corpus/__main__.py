"""Run fdcore over the corpus: ``python tests/check/corpus [--dtype float32] [--scales 1e-12,1,1e12] [--peers]``."""

from __future__ import annotations

import argparse
import collections
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from corpus import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float64,float32")
    parser.add_argument("--scales", default="1")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    parser.add_argument("--bugs", default="", help="only bugs whose name contains this")
    parser.add_argument("--mode", default="auto", help="auto, elementwise or projected")
    parser.add_argument("--large", action="store_true", help="up to 10^6 parameters too")
    parser.add_argument("-v", "--verbose", action="store_true", help="every problem that is not handled perfectly")
    options = parser.parse_args()
    start = time.perf_counter()
    tally: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for dtype in options.dtype.split(","):
        for scale in map(float, options.scales.split(",")):
            for seed in range(options.seeds):
                for record in run.problems(getattr(np, dtype), scale, seed, options):
                    run.count(tally[f"{dtype} {scale:g}"], record)
                    if options.verbose and record.remark:
                        print(f"{dtype} {scale:g} {seed} {record.case:14s} {record.bug:28s} {record.remark}")
    total = sum(tally.values(), collections.Counter())
    print(run.HEADER)
    for name, counts in [*tally.items(), ("all", total)]:
        print(run.line(name, counts))
    print(f"{time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
