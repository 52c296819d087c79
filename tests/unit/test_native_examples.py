"""Each example of examples/native is compiled with the real tool and run, and its derivatives equal the oracle's."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import reference

import fdcore as fd

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "native"
STEP = 2.0**-10

# Example: what it needs besides Python and NumPy ("cc" and "gfortran" are programs, the rest are packages).
SCALAR = {
    "address": "cc",
    "capsule": "cc Cython",
    "cffi_abi": "cc cffi",
    "cffi_api": "cc cffi setuptools",
    "ctypes_scalar": "cc",
    "numba_cfunc": "numba",
}
VECTOR = {"ctypes_vector": "cc", "fortran": "gfortran"}
CLIENTS = {"c_client": "cc", "cython_client": "cc Cython"}
PRODUCERS = {"from_ctypes": "cc", "from_cffi": "cc", "from_cython": "cc Cython", "from_numba": "numba"}

pytestmark = [
    pytest.mark.build,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the examples call cc as on Unix"),
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are in the repository, not in the wheel"),
]


def need(tools: str) -> None:
    for tool in tools.split():
        if tool in ("cc", "gfortran"):
            if shutil.which(tool) is None:
                pytest.skip(f"needs {tool}")
        else:
            pytest.importorskip(tool)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    def load(name: str, tools: str) -> ModuleType:
        need(tools)
        monkeypatch.syspath_prepend(str(EXAMPLES))
        # Cython, run as a program, has to find the same fdcore for cimport.
        monkeypatch.setenv(
            "PYTHONPATH", os.pathsep.join([str(Path(fd.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        )
        return importlib.import_module(name)

    return load


def rosenbrock(x: Any) -> float:
    return float(sum(100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2 for i in range(len(x) - 1)))


def decay(module: ModuleType) -> Callable[[Any], Any]:
    return lambda p: p[0] * np.exp(-p[1] * module.TIME) + p[2] - module.VALUE


def assert_jacobian(actual: Any, f: Callable[[Any], Any], x: Any, scale: float, step: float | None = STEP) -> None:
    expected = reference.jacobian(f, x, h=step)
    rounding = 64 * 2.0**-53 * scale / (reference.rule_step("central", 2) if step is None else step)
    np.testing.assert_allclose(np.reshape(actual, expected.shape), expected, rtol=1e-12, atol=rounding)


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_function(example: Callable[[str, str], ModuleType], tmp_path: Path, name: str) -> None:
    module = example(name, SCALAR[name])
    f, before = module.make(tmp_path), module.X.tobytes()
    assert_jacobian(fd.gradient(f, module.X, step=STEP), rosenbrock, module.X, 400.0)
    assert_jacobian(fd.gradient(f, module.X), rosenbrock, module.X, 400.0, step=None)
    assert module.X.tobytes() == before


@pytest.mark.parametrize("name", VECTOR)
def test_vector_function(example: Callable[[str, str], ModuleType], tmp_path: Path, name: str) -> None:
    module = example(name, VECTOR[name])
    f = module.make(tmp_path)
    assert_jacobian(fd.jacobian(f, module.X, step=STEP), decay(module), module.X, 4.0)
    assert_jacobian(fd.jacobian(f, module.X, workers=2), decay(module), module.X, 4.0, step=None)
    if name == "ctypes_vector":
        with pytest.raises(fd.CallbackError, match="status 1"):
            fd.jacobian(f, np.ones(4))


@pytest.mark.parametrize("producer", PRODUCERS)
def test_low_level_callable(example: Callable[[str, str], ModuleType], tmp_path: Path, producer: str) -> None:
    module = example("low_level_callable", f"scipy cffi numba {PRODUCERS[producer]}")
    f = getattr(module, producer)(tmp_path)
    assert_jacobian(fd.gradient(f, module.X, step=STEP), rosenbrock, module.X, 400.0)


def test_cython_client(example: Callable[[str, str], ModuleType], tmp_path: Path) -> None:
    module = example("cython_client", CLIENTS["cython_client"])
    client = module.make(tmp_path)
    jacobian, evaluations = client.decay_jacobian(module.X, module.TIME, module.VALUE)
    assert evaluations == 2 * module.X.size
    assert_jacobian(jacobian, decay(module), module.X, 4.0, step=None)
    threaded, _ = client.decay_jacobian(module.X, module.TIME, module.VALUE, workers=2)
    assert threaded.tobytes() == jacobian.tobytes()
    with pytest.raises(RuntimeError, match="component 1"):
        client.decay_jacobian(np.array([1.0, np.nan, 1.0]), module.TIME, module.VALUE)


def test_c_client(example: Callable[[str, str], ModuleType], tmp_path: Path) -> None:
    module = example("c_client", CLIENTS["c_client"])
    client, jacobian = module.make(tmp_path), np.empty((module.TIME.size, 3))
    assert client.decay_jacobian(module.X, module.TIME, module.VALUE, jacobian) == 2 * module.X.size
    assert_jacobian(jacobian, decay(module), module.X, 4.0, step=None)
    with pytest.raises(RuntimeError):
        client.decay_jacobian(np.array([1.0, np.nan, 1.0]), module.TIME, module.VALUE, jacobian)


@pytest.mark.parametrize("name", ["ctypes_vector", "c_client"])
def test_examples_run_as_programs(example: Callable[[str, str], ModuleType], name: str) -> None:
    example(name, {**VECTOR, **CLIENTS}[name])  # for its tools and its environment
    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, check=True)
    first = [float(value) for value in re.findall(r"-?\d+\.\d*", done.stdout)[:3]]
    np.testing.assert_allclose(first, [1.0, 0.0, 1.0], atol=1e-8)


def test_every_example_is_tested_and_listed() -> None:
    files = {path.stem for path in EXAMPLES.glob("*.py")} - {"_build"}
    assert files == {*SCALAR, *VECTOR, *CLIENTS, "low_level_callable", "newton", "update"}
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}.py)" in listed for name in files)


def test_newton_loop_without_the_gil(example: Callable[[str, str], ModuleType], tmp_path: Path) -> None:
    module = example("newton", "cc Cython").make(tmp_path)
    root, iterations, evaluations = module.newton(np.full(50, -1.0))
    padded = np.concatenate([[0.0], root, [0.0]])
    assert np.max(np.abs((3 - 2 * root) * root - padded[:-2] - 2 * padded[2:] + 1)) <= 1e-12
    assert 3 <= iterations <= 10
    assert evaluations == 50 * iterations


def test_coordinate_update(example: Callable[[str, str], ModuleType], tmp_path: Path) -> None:
    module = example("update", "cc")
    exact = module.DATA.T @ (np.exp(module.DATA @ module.X) - module.COUNTS) / len(module.DATA)
    updated, full = (fd.gradient(f, module.X) for f in module.make(tmp_path))
    np.testing.assert_allclose(full, exact, atol=1e-8)
    np.testing.assert_allclose(updated, exact, atol=2e-11)
    # Full evaluations subtract two losses; with updates truncation alone is left.
    assert np.abs(updated - exact).max() < np.abs(full - exact).max()
