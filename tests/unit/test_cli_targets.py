"""What the command can be pointed at beside Python functions: PyTorch modules, native libraries; and the curve."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from fdcore.cli import main
from fdcore.cli.target import parse_point

SOURCE = """
#include <math.h>
#include <stddef.h>
double loss(int n, const double *x) {
    double s = 0;
    for (int i = 0; i < n; i++) s += sin(x[i]) * (i + 1);
    return s;
}
double loss_with(int n, const double *x, void *ctx) { (void)ctx; return loss(n, x); }
int loss_vector(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    (void)m; (void)ctx; y[0] = loss((int)n, x); return 0;
}
void grad(int n, const double *x, double *g) { for (int i = 0; i < n; i++) g[i] = cos(x[i]) * (i + 1); }
void grad_with(int n, const double *x, double *g, void *ctx) { (void)ctx; grad(n, x, g); }
int grad_vector(ptrdiff_t n, const double *x, ptrdiff_t m, double *g, void *ctx) {
    (void)m; (void)ctx; grad((int)n, x, g); return 0;
}
int grad_fails(ptrdiff_t n, const double *x, ptrdiff_t m, double *g, void *ctx) { return 7; }
void wrong(int n, const double *x, double *g) { grad(n, x, g); g[1] = -g[1]; }
void forgets(int n, const double *x, double *g) { for (int i = 1; i < n; i++) g[i] = cos(x[i]) * (i + 1); }
double sine(double x) { return sin(x); }
"""

PYTHON = """
import numpy as np

def loss(x):
    return float(np.sum(np.sin(x) * np.arange(1, len(x) + 1)))

def grad(x):
    return np.cos(x) * np.arange(1, len(x) + 1)

def sine(x):
    return float(np.sin(x))
"""

TORCH = """
import torch
from torch import nn

class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x
    @staticmethod
    def backward(ctx, grad):
        return 3 * grad

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))
    def forward(self, x):
        return Twice.apply(self.w) * x

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0]))
    def forward(self):
        return (self.w**3).sum()

def setup():
    torch.manual_seed(0)
    return nn.Linear(3, 2), nn.CrossEntropyLoss(), torch.randn(4, 3), torch.tensor([0, 1, 0, 1])

def planted():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), Scale()), lambda out: out.square().sum(), torch.randn(4, 3)

own = Own()

def number():
    return 3

def raises():
    raise ZeroDivisionError("in the factory")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "target_module.py").write_text(PYTHON)
    (tmp_path / "torch_module.py").write_text(TORCH)
    np.save(tmp_path / "x.npy", np.array([0.3, -0.7, 1.1]))
    np.savez(tmp_path / "named.npz", a=np.ones(2), b=np.ones(2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != ""])
    yield tmp_path
    for name in ("target_module", "torch_module"):
        sys.modules.pop(name, None)


@pytest.fixture
def library(project, compile_c):
    shutil.copy(compile_c(SOURCE), project / "libfoo.so")
    return project


FORMS = {
    "loss": "double (int, const double *)",
    "loss_with": "double (int, double *, void *)",
    "loss_vector": "int (ptrdiff_t, double *, ptrdiff_t, double *, void *)",
}
GRADIENTS = {
    "grad": "void (int, const double *, double *)",
    "grad_with": "void (int, double *, double *, void *)",
    "grad_vector": "int (ptrdiff_t, const double*, ptrdiff_t, double *, void*)",
}


@pytest.mark.parametrize("loss", FORMS)
@pytest.mark.parametrize("grad", GRADIENTS)
def test_functions_of_a_library(library, capsys, loss, grad):
    arguments = [f"libfoo.so:{loss}", "--signature", FORMS[loss], "--grad", f"./libfoo.so:{grad}"]
    assert main(["check", *arguments, "--grad-signature", GRADIENTS[grad], "--at", "0.3,-0.7,1.1"]) == 0
    assert capsys.readouterr().out.startswith("agrees: all 3 entries")


def test_the_usual_signatures_need_not_be_said(library, capsys):
    assert main(["check", "libfoo.so:loss", "--grad", "libfoo.so:grad", "--at", "x.npy"]) == 0
    assert main(["check", "libfoo.so:loss", "--grad", "libfoo.so:wrong", "--at", "x.npy", "--json"]) == 1
    printed = capsys.readouterr().out
    data = json.loads(printed[printed.index("{") :])
    assert [(entry["parameter"], entry["index"]) for entry in data["wrong"]] == [("x", [1])]
    # What a gradient forgets to fill is NaN, not what lay there.
    assert main(["check", "libfoo.so:loss", "--grad", "libfoo.so:forgets", "--at", "x.npy"]) == 1
    assert "NaN" in capsys.readouterr().out


def test_native_and_python_mixed(library):
    assert main(["check", "libfoo.so:loss", "--grad", "target_module:grad", "--at", "1,2,3"]) == 0
    assert main(["check", "target_module:loss", "--grad", "libfoo.so:grad", "--at", "1,2,3"]) == 0
    assert main(["check", "target_module:loss", "--grad", "libfoo.so:wrong", "--at", "1,2,3"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["libbar.so:loss", "--grad", "libfoo.so:grad", "--at", "1,2"], "libbar.so"),
        (["libfoo.so:los", "--grad", "libfoo.so:grad", "--at", "1,2"], "no function 'los'"),
        (["libfoo.so:loss", "--grad", "libfoo.so:gra", "--at", "1,2"], "no function 'gra'"),
        (["libfoo.so:", "--grad", "libfoo.so:grad", "--at", "1,2"], "write LIBRARY:FUNCTION"),
        (
            ["libfoo.so:loss", "--signature", "float (float)", "--grad", "libfoo.so:grad", "--at", "1,2"],
            "float (float)",
        ),
        (
            ["libfoo.so:loss", "--grad", "libfoo.so:grad", "--grad-signature", "float ()", "--at", "1,2"],
            "void (int, double *, double *)",
        ),
        (
            [
                "libfoo.so:loss",
                "--grad",
                "libfoo.so:grad_fails",
                "--grad-signature",
                GRADIENTS["grad_vector"],
                "--at",
                "1",
            ],
            "status 7",
        ),
        (["libfoo.so:loss", "--grad", "libfoo.so:grad", "--at", "named.npz"], "takes one vector"),
        (["target_module:loss", "--signature", "double (double)", "--grad", "x:y", "--at", "1"], "native library"),
        (["target_module:loss", "--grad", "target_module:grad", "--at", "1,nan"], "finite"),
        (["target_module:loss", "--grad", "target_module:grad", "--at", "1,2", "--double"], "--torch"),
        (["target_module:loss", "--torch", "torch_module:setup"], "one thing to check"),
        ([], "one thing to check"),
    ],
)
def test_wrong_command_lines(library, capsys, arguments, message):
    assert main(["check", *arguments]) == 3
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


# ---- torch


def torch_or_skip():
    pytest.importorskip("torch", reason="needs torch")


@pytest.mark.slow
def test_a_torch_module(project, capsys):
    torch_or_skip()
    assert main(["check", "--torch", "torch_module:setup", "--double"]) == 0
    printed = capsys.readouterr().out
    assert "weight" in printed
    assert "single precision" not in printed
    assert main(["check", "--torch", "torch_module:setup"]) in (0, 2)
    assert "single precision" in capsys.readouterr().out
    assert main(["check", "--torch", "torch_module:setup", "--double", "--only", "bias", "--json"]) == 0
    rows = {row["name"]: row["checked"] for row in json.loads(capsys.readouterr().out)["parameters"]}
    assert rows == {"weight": 0, "bias": 2}


@pytest.mark.slow
def test_a_planted_bug_in_a_torch_module(project, capsys):
    torch_or_skip()
    assert main(["check", "--torch", "torch_module:planted", "--double", "--html", "report.html"]) == 1
    printed = capsys.readouterr().out
    assert "1.w[0]" in printed
    assert "1.w[1]" in printed
    assert "1.w[0]" in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_module_is_recognised(project, capsys):
    torch_or_skip()
    assert main(["check", "torch_module:own"]) in (0, 2)
    assert main(["check", "--torch", "torch_module:own", "--double"]) == 0
    assert main(["check", "torch_module:own", "--grad", "torch_module:setup"]) == 3
    assert "autograd" in capsys.readouterr().err
    assert main(["check", "--torch", "torch_module:number"]) == 3
    assert "must return a torch.nn.Module" in capsys.readouterr().err
    assert main(["check", "--torch", "torch_module:raises"]) == 3
    assert "in the factory" in capsys.readouterr().err


# ---- curve


def test_curve_of_a_python_function(project, capsys):
    assert main(["curve", "math:exp", "--at", "1.0", "--exact", "math:exp"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("relative error of each method")
    assert "predicted" in text
    assert main(["curve", "math:exp", "--at", "1.0", "--exact", repr(math.e), "--json", "--methods", "central"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data["errors"]) == ["central"]
    assert 1e-7 < data["best"]["central"] < 1e-4
    assert data["exact"] is True
    assert len(data["steps"]) == len(data["errors"]["central"]) == 65
    assert "nan" in data["errors"]["central"]  # steps that vanish against x


def test_curve_of_a_vector_and_of_a_library(library, capsys):
    assert main(["curve", "target_module:loss", "--at", "x.npy", "--exact", "target_module:grad"]) == 0
    assert main(["curve", "libfoo.so:loss", "--at", "0.3,-0.7"]) == 0
    assert "relative change" in capsys.readouterr().out
    signature = ["--signature", "double (double)"]
    assert main(["curve", "libfoo.so:sine", *signature, "--at", "0.5", "--exact", "math:cos", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert 1e-10 < best["forward"] < 1e-6


def test_curve_as_a_picture(project, capsys):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    assert main(["curve", "math:exp", "--at", "1.0", "--plot", "curve.png"]) == 0
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")
    assert main(["curve", "math:exp", "--at", "1.0", "--plot", "curve.xyz"]) == 3
    assert "xyz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["math:exp", "--at", "named.npz"], "a number or a vector"),
        (["math:exp", "--at", "1", "--methods", "sideways"], "method must be one of"),
        (["math:exp", "--at", "1", "--signature", "double (double)"], "native library"),
        (["math:log", "--at", "-1"], "math domain error"),
    ],
)
def test_wrong_curves(project, capsys, arguments, message):
    assert main(["curve", *arguments]) == 3
    assert message in capsys.readouterr().err


# ---- the rest


def test_demo_as_data_and_as_a_page(project, capsys):
    assert main(["demo", "--json", "--html", "demo.html"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is True
    assert [section["ok"] for section in data["sections"]] == [True] * len(data["sections"])
    assert data["sections"][-1]["report"]["verdict"] == "wrong"
    assert "<html" in Path("demo.html").read_text(encoding="utf-8")


def test_progress_goes_to_stderr(project, capsys):
    (project / "target_module.py").write_text(
        PYTHON + "\nimport time\ndef slow(x):\n    time.sleep(0.02)\n    return loss(x)\n"
    )
    sys.modules.pop("target_module", None)
    assert main(["check", "target_module:slow", "--grad", "target_module:grad", "--at", "1,2,3,4", "--progress"]) == 0
    printed = capsys.readouterr()
    assert "check" in printed.err
    assert printed.out.startswith("agrees")


@pytest.mark.parametrize("command", [[], ["check"], ["curve"], ["demo"]])
def test_help_teaches(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    if command != ["demo"]:
        assert "examples:" in text
        assert "  fdcore " in text
    if command == ["check"]:
        assert "exit status:" in text
        assert "double (int, double *)" in text


def test_points_written_out():
    assert parse_point("1.5") == 1.5
    assert parse_point("-1e-3,2").tolist() == [-1e-3, 2.0]
    assert parse_point("1,").tolist() == [1.0]
    assert parse_point("params.npz") is None
