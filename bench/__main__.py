"""``python -m bench``: run workloads, print their tables, keep the results."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from pathlib import Path

from bench import machine, report
from bench.runner import Outcome, measure

WORKLOADS = ("w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "solvers", "checks", "colors")
RESULTS = Path(__file__).parent / "RESULTS.md"
SECONDS, QUICK_SECONDS = 10.0, 1.5


def main(argv: list[str] | None = None) -> int:
    """Run the bench; exit status 1 if a target was measured and missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="fdcore against its peers and against hand-written C, interleaved, as ratios.",
    )
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SECONDS} s a case instead of {SECONDS:g}")
    parser.add_argument("--seconds", type=float, help="time for each case")
    parser.add_argument("--match", default="", help="only cases whose name contains this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="write the Markdown here (a full run writes bench/RESULTS.md)"
    )
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.workloads) - set(WORKLOADS))
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    chosen = [w for w in WORKLOADS if not arguments.workloads or w in arguments.workloads]
    seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)

    warnings.simplefilter("ignore")  # the peers' own
    sections: list[tuple[str, list[Outcome]]] = []
    tables: dict[str, list[tuple[str, ...]]] = {}
    remarks: dict[str, str] = {}
    for name in chosen:
        module = importlib.import_module(f"bench.{name}")
        outcomes: list[Outcome] = []
        print(f"\n{module.TITLE}\n", flush=True)
        remarks[module.TITLE] = getattr(module, "WHY", "")  # targets are missed
        if hasattr(module, "table"):  # counts, where there is nothing to time
            tables[module.TITLE] = [
                row for k, row in enumerate(module.table(arguments.quick)) if k == 0 or arguments.match in row[0]
            ]
            print(report.aligned(tables[module.TITLE]), end="\n\n", flush=True)
            continue
        for case in module.cases(arguments.quick):
            if arguments.match in case.name:
                outcomes.append(measure(case, seconds))
                print(report.text(outcomes[-1]), end="\n\n", flush=True)
        sections.append((module.TITLE, outcomes))

    everything = [outcome for _, outcomes in sections for outcome in outcomes]
    targets = report.summary(everything)
    if targets:
        print("targets")
        print(report.aligned(targets))

    command = " ".join(["python -m bench", *(sys.argv[1:] if argv is None else argv)])
    whole = not (arguments.workloads or arguments.match or arguments.quick or arguments.seconds)
    destination = arguments.results or (RESULTS if whole else None)
    if destination:
        destination.write_text(_markdown(command, sections, tables, remarks))
        print(f"\nwritten: {destination}")
    if arguments.json:
        data = {
            "command": command,
            "machine": machine.description(),
            "versions": machine.versions(),
            "cases": [report.as_data(outcome) for outcome in everything],
        }
        arguments.json.write_text(json.dumps(data, indent=1))
    return int(any(row[-1] == "NO" for row in (*targets, *(row for table in tables.values() for row in table))))


def _markdown(
    command: str,
    sections: list[tuple[str, list[Outcome]]],
    tables: dict[str, list[tuple[str, ...]]],
    remarks: dict[str, str],
) -> str:
    everything = [outcome for _, outcomes in sections for outcome in outcomes]
    lines = [
        "# Benchmark results",
        "",
        f"`{command}` wrote this file. Every number is a median over rounds in which each contender runs between two",
        "blocks of the floor; *x floor* is the median of time over the floor's time just before and after, beside its",
        "quartiles, and the floor's own row shows the noise. *error* is the largest absolute error over the largest",
        "entry of the exact derivative. *C by hand*, beside a speedup: what as many threads gained there in the same",
        "rounds, which is what the machine gave: two virtual processors may be less than two cores.",
        "",
        *(f"* {key}: {value}" for key, value in machine.description().items()),
        f"* versions: {', '.join(f'{name} {version}' for name, version in machine.versions().items())}",
        f"* other processes took {max((o.busy for o in everything), default=0.0):.0%} of the cores at the most",
        "",
        "## Targets",
        "",
        "| case | contender | measured | required | met |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in report.summary(everything)),
        "",
    ]
    for title, outcomes in sections:
        lines += [f"## {title}", "", *([remarks[title], ""] if remarks[title] else [])]
        lines += [report.markdown(outcome) for outcome in outcomes]
    for title, (header, *rows) in tables.items():
        lines += [f"## {title}", "", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
        lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
