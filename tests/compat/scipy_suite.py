"""A pytest plugin: SciPy's own test modules run on fdcore's functions in place of SciPy's.

``python -m pytest -p scipy_suite --pyargs scipy.optimize.tests.test__numdiff``, with this folder in PYTHONPATH; the
outcome of each test goes to the JSON file that FDCORE_SUITE_RESULTS names. SciPy's own modules get fdcore's functions,
too, so that the tests of its solvers show what those make of them: ``scipy.optimize.tests.test_least_squares``.
"""

import importlib
import json
import os
import sys

from fdcore.compat.scipy import differentiate, numdiff

REPLACED = {
    "scipy.optimize._numdiff": (
        numdiff,
        "_adjust_scheme_to_bounds _compute_absolute_step _eps_for_method _prepare_bounds approx_derivative "
        "check_derivative group_columns",
    ),
    "scipy.optimize": (numdiff, "approx_fprime"),
    "scipy.differentiate": (differentiate, "derivative hessian jacobian"),
}
RANK = ("passed", "skipped", "xfailed", "failed")
outcomes: dict[str, str] = {}
replaced: set[str] = set()


def pairs():
    """SciPy's functions and ours."""
    for name, (ours, functions) in REPLACED.items():
        try:
            theirs = importlib.import_module(name)
        except ImportError:
            continue  # before SciPy 1.15
        for function in functions.split():
            if hasattr(theirs, function):
                yield getattr(theirs, function), getattr(ours, function)


def pytest_collection_modifyitems(items):
    """The modules have been imported, and have looked at SciPy's functions; from now on they are to see ours."""
    known = {id(theirs): (theirs.__name__, ours) for theirs, ours in pairs()}
    holders = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "scipy"]
    for module in {item.module for item in items}:
        holders += [module, *(value for value in vars(module).values() if isinstance(value, type))]
    for holder in holders:
        for attribute, value in list(vars(holder).items()):
            if id(value) in known:
                name, ours = known[id(value)]
                setattr(holder, attribute, ours)
                replaced.add(name)


def pytest_runtest_logreport(report):
    """Keep the worst that became of each test."""
    path, _, test = report.nodeid.partition("::")
    name = f"{path.rpartition('/')[2]}::{test}"
    outcome = "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome
    outcomes[name] = max(outcomes.get(name, "passed"), outcome, key=RANK.index)


def pytest_sessionfinish():
    path = os.environ.get("FDCORE_SUITE_RESULTS")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"outcomes": outcomes, "replaced": sorted(replaced)}, file)
