"""Judge a check against what was planted."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

import fdcore as fd
from corpus.bugs import BUGS, STATEFUL
from corpus.cases import CASES, LARGE, build

HEADER = (
    f"{'':16s}{'correct':>9s}{'false alarm':>12s}{'unclear':>9s}{'bugs':>7s}{'missed':>8s}{'above limit':>12s}"
    f"{'unclear':>9s}{'located':>9s}{'named':>8s}{'misnamed':>9s}{'evaluations':>12s}"
)


@dataclass
class Record:
    """What came of one problem."""

    case: str
    bug: str
    verdict: str
    wrong: bool  # the gradient really is
    located: bool = False
    named: bool = False
    misnamed: bool = False
    above: bool = False  # missed although above the stated limit
    nfev: int = 0
    remark: str = ""


def problems(dtype, scale, seed, options, peers=None):
    """Yield a record for each case and bug; `peers` are asked about the same ones, the large ones left out."""
    makers = CASES | (LARGE if options.large else {})
    for name in makers:
        if options.cases not in name:
            continue
        CASES.update({name: makers[name]})
        case = build(name, dtype, seed, scale)
        good = case.gradient(case.params)
        large = name in LARGE
        if not options.bugs:
            yield check(case, "", case.gradient, good, good, (), options)
            if peers and not large:
                peers.judge(case, lambda case=case: case.gradient, False)
        for bug in BUGS:
            if options.bugs not in bug.name:
                continue

            def planted(p, bug=bug, case=case):
                rng = np.random.default_rng([seed, len(bug.name)])
                return bug.plant(case, case.gradient(p), p, rng)

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                bad = planted(case.params)
            if bad is not None and differs(good, bad, dtype):
                yield check(case, bug.name, planted, good, bad, bug.names, options)
                if peers and not large:
                    peers.judge(case, lambda planted=planted: planted, True)
        if large:
            continue
        for bug, (make, label) in STATEFUL.items():
            if options.bugs in bug:
                yield stateful(case, bug, make(case), label, options)
                if peers:
                    peers.judge(case, lambda make=make, case=case: make(case), True)


def differs(good, bad, dtype):
    """Whether a planted bug changed anything that can be told from rounding."""
    unit = 1e-12 if dtype == np.float64 else 1e-5
    most = max(np.max(np.abs(value), initial=0.0) for value in good.values())
    for key, value in good.items():
        if np.shape(bad[key]) != value.shape:
            return True
        size = np.max(np.abs(value), initial=0.0)
        size = max(size, np.max(np.abs(bad[key]), initial=0.0))
        if size < (1e-10 if dtype == np.float64 else 1e-4) * most:
            continue  # zero, but for rounding: nothing of it can be wrong
        if not np.all(np.abs(bad[key] - value) <= unit * size):
            return True
    return False


def check(case, bug, grad, good, bad, names, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = fd.check_gradient(case, grad, case.params, mode=options.mode)
    record = Record(case.name, bug, result.verdict, bool(bug), nfev=result.nfev)
    labels = [d.label for d in result.diagnoses]
    if not bug:
        if result.verdict != "agrees":
            record.remark = f"{result.verdict} ({result.reason})"
        return record
    truth = {}
    most = max(np.max(np.abs(value), initial=0.0) for value in good.values())
    for key, value in good.items():
        if np.shape(bad[key]) != value.shape:
            truth[key] = None
            continue
        unit = 1e-9 if case.dtype == np.float64 else 1e-6
        size = math.sqrt(float(np.mean(np.square(value, dtype=float)))) if value.size else 0.0
        off = ~(np.abs(np.asarray(bad[key], float) - value) <= unit * size)
        # What is zero but for rounding is wrong only where something large stands instead.
        size = max(size, float(np.max(np.abs(bad[key]), initial=0.0)))
        if off.any() and size > (1e-10 if case.dtype == np.float64 else 1e-4) * most:
            truth[key] = off
    if result.verdict == "wrong":
        blamed = {p.name for p in result.parameters if p.verdict == "wrong"}
        entries = [(e.parameter, e.index) for e in result.wrong]
        stray = [e for e in entries if e[0] not in truth or (truth[e[0]] is not None and not truth[e[0]][e[1]])]
        found = {e[0] for e in entries} | {k for k, v in truth.items() if v is None}
        record.located = not stray and blamed == set(truth) and found >= set(truth)
        record.named = bool(labels) and labels[0] in names
        record.misnamed = bool(labels) and not record.named
        if not record.located:
            record.remark += f"located {sorted(blamed)} {entries[:3]}, not {sorted(truth)}; "
        if not record.named:
            record.remark += f"called {labels[:2]} instead of {names[0]}"
        return record
    limits = {p.name: p.detection_limit for p in result.parameters}
    for key, off in truth.items():
        if off is None:
            record.above = True
            continue
        size = math.sqrt(float(np.mean(np.square(good[key], dtype=float))))
        worst = np.max(np.abs(np.asarray(bad[key], float) - good[key])) / size if size else math.inf
        if worst > limits[key]:
            record.above = True
    record.remark = f"{result.verdict} ({result.reason}); limits {limits}"
    return record


def stateful(case, bug, grad, label, options):
    result = fd.check_gradient(case, grad, case.params, mode=options.mode)
    labels = [n.label for n in result.notes] + [d.label for d in result.diagnoses]
    record = Record(case.name, bug, result.verdict, True, nfev=result.nfev)
    record.named = label in labels
    record.located = True
    # A gradient that is right the first time may well agree, as long as its fault is said: no limit excuses silence.
    if not record.named:
        record.remark = f"{result.verdict}, notes {labels}, no {label}"
        record.above = result.verdict == "agrees"
    elif result.verdict == "agrees":
        record.verdict = "wrong"
    return record


def count(tally, record):
    tally["evaluations"] += record.nfev
    tally["checks"] += 1
    if not record.wrong:
        tally["correct"] += 1
        tally["false alarm"] += record.verdict == "wrong"
        tally["correct unclear"] += record.verdict == "cannot tell"
        return
    tally["bugs"] += 1
    tally["missed"] += record.verdict == "agrees"
    tally["above"] += record.above and record.verdict == "agrees"
    tally["unclear"] += record.verdict == "cannot tell"
    tally["caught"] += record.verdict == "wrong"
    for key in ("located", "named", "misnamed"):
        tally[key] += getattr(record, key) and record.verdict == "wrong"


def line(name, c):
    def share(key):
        return f"{100 * c[key] / c['caught']:.1f}%" if c["caught"] else "-"

    return (
        f"{name:16s}{c['correct']:9d}{c['false alarm']:12d}{c['correct unclear']:9d}{c['bugs']:7d}{c['missed']:8d}"
        f"{c['above']:12d}{c['unclear']:9d}{share('located'):>9s}{share('named'):>8s}{share('misnamed'):>9s}"
        f"{c['evaluations'] // max(c['checks'], 1):12d}"
    )
