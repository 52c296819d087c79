"""The figures: ``PYTHONPATH=src python -m tests.accuracy``; with ``--help``, what else it does.

Over a corpus of functions with exact derivatives (see `scalar` and `vector`), for fdcore and for each peer installed:
share of derivatives right to 1e-6 or to 10 times what the best textbook rule attains; share with error <= bar; median
of bar / error; confidently wrong (error > 10 bars and > 1e-6); evaluations per component.
"""

from __future__ import annotations

import argparse

from . import methods, score
from .random_set import random_problems
from .scalar import Problem, bessel_problems, scalar_problems, special_problems
from .vector import vector_problems


def corpus() -> list[Problem]:
    return [*scalar_problems(), *special_problems(), *bessel_problems(), *vector_problems()]


def _row(name: str, figures: dict[str, float]) -> str:
    return (
        f"{name:22s} {figures['components']:10d} {figures['right']:8.1f} {figures['covered']:9.1f} "
        f"{figures['bar/error']:10.3g} {figures['confidently wrong']:10d} {figures['evaluations']:8.3g} "
        f"{figures['mean evaluations']:8.3g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("--random", type=int, default=0, metavar="COUNT", help="random functions instead of the corpus")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--groups", action="store_true", help="figures for each group of functions")
    parser.add_argument("--failures", action="store_true", help="list what is wrong or not covered")
    parser.add_argument("--only", help="one method")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="one in K of the functions")
    options = parser.parse_args()

    problems = random_problems(options.random, options.seed) if options.random else corpus()
    problems = problems[:: options.every]
    print(f"{len(problems)} functions, {sum(p.exact.size for p in problems)} derivatives")
    print(
        f"{'':22s} {'components':>10s} {'right %':>8s} {'covered %':>9s} {'bar/error':>10s} {'confident':>10s} "
        f"{'median':>8s} {'mean':>8s}"
    )
    for name, method in methods.available().items():
        if options.only and options.only != name:
            continue
        components = score.run(method, problems)
        print(_row(name, score.figures(components)))
        if options.groups:
            for group, members in score.by_group(components).items():
                print(_row("    " + group, score.figures(members)))
        if options.failures:
            for component in components:
                if not component.right or not component.covered or component.confident:
                    print("   ", component)


if __name__ == "__main__":
    main()
