"""SciPy's own tests of its derivatives, which its wheel brings along, pass on fdcore's drop-ins."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

scipy = pytest.importorskip("scipy")

MODULES = ("scipy.optimize.tests.test__numdiff", "scipy.differentiate.tests.test_differentiate")
HERE = Path(__file__).parent

VERSION = tuple(int(part) for part in scipy.__version__.split(".")[:2])

# Test: why fdcore is not to pass it, in which versions of SciPy. One that passes has no business here.
EXCLUDED: dict[str, str] = {}
if VERSION < (1, 16):
    EXCLUDED["test__numdiff.py::TestApproxDerivativeSparse::test_all"] = (
        "wants a csr_matrix for a dense structure; fdcore gives a csr_array, as SciPy does from 1.16 on"
    )


def shipped(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Outcomes by test. In a process of its own: SciPy's conftest changes how processes start."""
    modules = [module for module in MODULES if shipped(module)]
    if not modules:
        pytest.skip(f"SciPy {scipy.__version__} does not bring its tests")
    folder = tmp_path_factory.mktemp("suite")
    (folder / "pytest.ini").touch()
    results = folder / "results.json"
    path = os.pathsep.join(filter(None, [os.fspath(HERE), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "FDCORE_SUITE_RESULTS": os.fspath(results)}
    environment.pop("PYTEST_ADDOPTS", None)
    root = Path(scipy.__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "scipy_suite", "-p", "no:cacheprovider", "--tb=short"]
    command += ["-c", os.fspath(folder / "pytest.ini"), "--rootdir", os.fspath(root), "--pyargs", *modules]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    assert results.exists(), run.stdout + run.stderr
    return json.loads(results.read_text(encoding="utf-8")) | {"output": run.stdout}


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestSuite:
    def test_it_ran_on_our_functions(self, suite):
        files = {name.partition("::")[0] for name in suite["outcomes"]}
        assert files == {module.rpartition(".")[2] + ".py" for module in MODULES if shipped(module)}
        least = {"approx_derivative", "check_derivative", "group_columns"}
        if shipped(MODULES[1]):
            least |= {"derivative", "hessian", "jacobian"}
            assert len(suite["outcomes"]) > 150
        assert least <= set(suite["replaced"])
        assert sum(outcome == "passed" for outcome in suite["outcomes"].values()) > 25

    def test_all_pass_but_those_excluded(self, suite):
        failed = {name for name, outcome in suite["outcomes"].items() if outcome == "failed"}
        assert failed <= EXCLUDED.keys(), suite["output"]
        skipped = [name for name, outcome in suite["outcomes"].items() if outcome == "skipped"]
        assert len(skipped) <= 2, skipped

    def test_exclusions_are_few_and_true(self, suite):
        assert len(EXCLUDED) <= 3
        known = EXCLUDED.keys() & suite["outcomes"].keys()
        assert not {name for name in known if suite["outcomes"][name] == "passed"}
