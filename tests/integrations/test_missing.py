"""Without the packages: everything imports, and each feature names the extra that it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fdcore as fd


def test_nothing_is_imported_before_it_is_used():
    code = (
        "import sys, fdcore as fd\n"
        "import fdcore.integrations.torch, fdcore.integrations.jax, fdcore.integrations.sympy\n"
        "assert fd.integrations.numba.native\n"
        "found = {'torch', 'jax', 'sympy', 'numba', 'tqdm', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("torch", lambda: fd.integrations.torch.check_function(abs, 1.0)),
        ("torch", lambda: fd.integrations.torch.check_module(None)),
        ("torch", lambda: fd.integrations.torch.numeric_gradient(abs)),
        ("jax", lambda: fd.integrations.jax.check(abs, 1.0)),
        ("jax", lambda: fd.integrations.jax.numeric_gradient(abs, 1.0)),
        ("sympy", lambda: fd.integrations.sympy.parse("x")),
        ("sympy", lambda: fd.integrations.sympy.native("x")),
        ("sympy", lambda: fd.integrations.sympy.compare("x", 1.0)),
        ("numba", lambda: fd.integrations.numba.native(abs)),
    ],
)
def test_each_names_its_extra(monkeypatch, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        fd.MissingExtraError, match=rf"need {package}; install it with: pip install 'fdcore\[{package}\]'"
    ):
        call()


def test_there_is_no_other_integration():
    assert {"torch", "jax", "sympy", "numba"} <= set(dir(fd.integrations))
    with pytest.raises(AttributeError, match="tensorflow"):
        _ = fd.integrations.tensorflow
