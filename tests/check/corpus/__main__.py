"""Run fdcore over the corpus, or a part of it: ``python tests/check/corpus --help``."""

from __future__ import annotations

import argparse
import collections
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from corpus import peers, run


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
    parser.add_argument("--peers", action="store_true", help="torch, jax and scipy beside, where they are installed")
    options = parser.parse_args()
    other = peers.Peers() if options.peers else None
    start = time.perf_counter()
    tally: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for dtype in options.dtype.split(","):
        for scale in map(float, options.scales.split(",")):
            for seed in range(options.seeds):
                for record in run.problems(getattr(np, dtype), scale, seed, options, other):
                    run.count(tally[f"{dtype} {scale:g}"], record)
                    if options.verbose and record.remark:
                        print(f"{dtype} {scale:g} {seed} {record.case:14s} {record.bug:28s} {record.remark}")
    total = sum(tally.values(), collections.Counter())
    print(run.HEADER)
    for name, counts in [*tally.items(), ("all", total)]:
        print(run.line(name, counts))
    if other is not None:
        print(peers.HEADER)
        for text in other.lines():
            print(text)
    print(f"{time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
