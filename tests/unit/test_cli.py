"""The command: exit statuses, what it prints, and what it says about a wrong command line."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import fdcore as fd
from fdcore.cli import main
from fdcore.cli.target import UsageError, load_params
from fdcore.cli.terminal import Terminal
from fdcore.models.demo import demo

MODULE = """
import numpy as np

def loss(p):
    return float(np.sum(np.sin(p["W"]) ** 2) + np.sum(p["W"] @ p["b"]))

def grad(p):
    return {"W": np.sin(2 * p["W"]) + p["b"], "b": p["W"].sum(axis=0)}

def wrong(p):
    g = grad(p)
    g["W"][1, 0] *= -1
    return g

def shape(p):
    return {"W": np.zeros((5, 5)), "b": p["b"]}

def swamped(p):
    return 1e25 + float(p["W"].sum() + p["b"].sum())

def ones(p):
    return {"W": np.ones_like(p["W"]), "b": np.ones_like(p["b"])}

def chatty(p):
    print("in the user's own code")
    return loss(p)

def leaves(p):
    raise SystemExit(0)

def raises(p):
    raise ZeroDivisionError("in the user's own code")

class Thing:
    def loss(self, x):
        return float(x @ x)
    def grad(self, x):
        return 2 * x

thing = Thing()
number = 3
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a user's module and parameters, as the current directory."""
    (tmp_path / "user_module.py").write_text(MODULE)
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('while importing')\n")
    (tmp_path / "needs_more.py").write_text("import no_such_dependency\n")
    np.savez(tmp_path / "params.npz", W=np.array([[0.3, -0.8], [1.1, 0.4], [-0.6, 0.9]]), b=np.array([0.5, -1.5]))
    np.savez(tmp_path / "plain.npz", np.array([1.0, 2.0]))
    np.save(tmp_path / "x.npy", np.array([1.0, 2.0, 3.0]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != ""])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in ("user_module", "broken_module", "needs_more"):
            del sys.modules[name]


def check(loss: str, grad: str, at: str, *more: str) -> int:
    return main(["check", loss, "--grad", grad, "--at", at, *more])


@pytest.mark.parametrize(
    ("loss", "grad", "at", "status"),
    [
        ("loss", "grad", "params.npz", 0),
        ("loss", "wrong", "params.npz", 1),
        ("swamped", "ones", "params.npz", 2),
        ("thing.loss", "thing.grad", "x.npy", 0),
        ("thing.loss", "thing.grad", "plain.npz", 0),
    ],
)
def test_exit_status(
    project: Path, capsys: pytest.CaptureFixture[str], loss: str, grad: str, at: str, status: int
) -> None:
    assert check(f"user_module:{loss}", f"user_module:{grad}", at) == status
    first = capsys.readouterr().out.partition("\n")[0]
    assert ["agrees", "wrong", "cannot tell"][status].upper() in first.upper()


def test_report_names_the_wrong_entry(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check("user_module:loss", "user_module:wrong", "params.npz")
    assert "W[1, 0]" in capsys.readouterr().out


def test_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("user_module:loss", "user_module:wrong", "params.npz", "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"] == "wrong"
    assert [row["name"] for row in result["parameters"]] == ["W", "b"]


def test_what_the_users_code_prints_stays_out_of_the_result(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("user_module:chatty", "user_module:grad", "params.npz", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["verdict"] == "agrees"
    assert "in the user's own code" in printed.err


def test_some_parameters_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("user_module:loss", "user_module:wrong", "params.npz", "--json")
    assert check(*arguments, "--only", "b") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["parameters"] if row["checked"]] == ["b"]
    assert check(*arguments, "--exclude", "W") == 0
    assert check(*arguments, "--sample", "8") == 1


def test_page(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("user_module:loss", "user_module:wrong", "params.npz", "--html", "report.html") == 1
    page = Path("report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert "W[1, 0]" in page
    assert "W[1, 0]" in capsys.readouterr().out


def test_reader_that_closes_early(project: Path) -> None:
    command = [sys.executable, "-m", "fdcore", "check", "user_module:loss", "--grad", "user_module:wrong"]
    run = subprocess.Popen([*command, "--at", "params.npz"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run.stdout.close()
    assert run.stderr.read() == ""
    run.stderr.close()
    assert run.wait() == 1


@pytest.mark.parametrize("mode", ["elementwise", "projected", "auto"])
def test_mode(project: Path, mode: str) -> None:
    assert check("user_module:loss", "user_module:grad", "params.npz", "--mode", mode) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_module:f", "--grad", "user_module:grad", "--at", "params.npz"], "no module 'no_such_module'"),
        (["user_module.sub:f", "--grad", "user_module:grad", "--at", "params.npz"], "no module 'user_module.sub'"),
        (["user_module:los", "--grad", "user_module:grad", "--at", "params.npz"], "no 'los' (it has loss, grad"),
        (["user_module", "--grad", "user_module:grad", "--at", "params.npz"], "write MODULE:FUNCTION"),
        (["user_module.py:loss", "--grad", "user_module:grad", "--at", "params.npz"], "user_module:loss"),
        (["user_module:number", "--grad", "user_module:grad", "--at", "params.npz"], "is a int, not a function"),
        (["user_module:loss", "--grad", "user_module:grad", "--at", "absent.npz"], "absent.npz: No such file"),
        (["user_module:loss", "--grad", "user_module:grad", "--at", "user_module.py"], ".npz, .npy or .json"),
        (["user_module:loss", "--at", "params.npz"], "--grad"),
        (["user_module:loss", "--grad", "user_module:grad"], "--at"),
        (["user_module:loss", "--grad", "user_module:grad", "--at", "params.npz", "--mode", "best"], "--mode"),
        (["user_module:loss", "--grad", "user_module:grad", "--at", "params.npz", "--budget", "0"], "at least 1"),
        (["user_module:raises", "--grad", "user_module:grad", "--at", "params.npz"], "in the user's own code"),
        (["user_module:leaves", "--grad", "user_module:grad", "--at", "params.npz"], "SystemExit"),
        (["user_module:loss", "--grad", "user_module:grad", "--at", "params.npz", "--only", "V"], "'V'"),
        (["user_module:loss", "--grad", "user_module:grad", "--at", "params.npz", "--html", "no/a.html"], "no/a.html"),
        (["broken_module:f", "--grad", "user_module:grad", "--at", "params.npz"], "while importing"),
        (["needs_more:f", "--grad", "user_module:grad", "--at", "params.npz"], "no_such_dependency"),
    ],
)
def test_wrong_command_line_is_status_3(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    try:
        status = main(["check", *arguments])
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    assert status == 3
    assert message in printed.err
    assert printed.out == ""


def test_no_command_is_status_3(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 3
    assert "COMMAND" in capsys.readouterr().err


def test_the_users_own_traceback_is_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("user_module:raises", "user_module:grad", "params.npz") == 3
    assert "user_module.py" in capsys.readouterr().err


def test_gradient_of_a_wrong_shape_is_no_crash(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("user_module:loss", "user_module:shape", "params.npz") in (1, 3)
    printed = capsys.readouterr()
    assert "(5, 5)" in printed.out + printed.err
    assert "Traceback" not in printed.err


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("name", ["bomb.npy", "bomb.npz", "raw.npy", "raw.npz"])
def test_nothing_is_unpickled(project: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    if name.startswith("raw"):
        Path(name).write_bytes(pickle.dumps(Bomb()))  # a bare pickle, which np.load would read if it were let
    else:
        (np.save if name.endswith("npy") else np.savez)(name, np.array([Bomb()], dtype=object))
    assert check("user_module:loss", "user_module:grad", name) == 3
    assert not Path("exploded").exists()
    message = capsys.readouterr().err
    assert "nothing is unpickled" in message or "not a readable" in message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"W": "abc"}', "W must hold real numbers, not str"),
        ("a.json", '{"W": [1, null]}', "W.1 must hold real numbers, not NoneType"),
        ("a.json", '{"W": [true, false]}', "W.0 must hold real numbers, not bool"),
        ("a.json", "{}", "nothing to differentiate"),
        ("a.json", '{"W": []}', "W is empty"),
        ("a.json", "{", "not a readable .json file"),
        ("a.npz", "text", "not a readable .npz file"),
        ("a.npy", "text", "not a readable .npy file"),
        ("a.npy", "", "not a readable .npy file"),
    ],
)
def test_unreadable_parameters(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        load_params(str(tmp_path / name))


def test_parameters_that_are_no_real_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", a=np.ones(2), b=np.array([1j]))
    with pytest.raises(UsageError, match="b must hold real numbers, not dtype complex128"):
        load_params(str(tmp_path / "c.npz"))
    np.save(tmp_path / "e.npy", np.empty((0, 3)))
    with pytest.raises(UsageError, match="empty"):
        load_params(str(tmp_path / "e.npy"))
    np.save(tmp_path / "renamed", np.ones(2))
    (tmp_path / "renamed.npy").rename(tmp_path / "renamed.npz")
    with pytest.raises(UsageError, match="no archive"):
        load_params(str(tmp_path / "renamed.npz"))


def test_json_parameters_become_arrays(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text('{"layer": {"W": [[1, 2], [3, 4]], "b": 5}, "ragged": [[1.0], [2.0, 3.0]]}')
    params = load_params(str(file))
    np.testing.assert_array_equal(params["layer"]["W"], [[1.0, 2.0], [3.0, 4.0]])
    assert params["layer"]["W"].dtype == np.float64
    assert params["layer"]["b"] == 5.0
    assert [row.shape for row in params["ragged"]] == [(1,), (2,)]


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    for expected in ("-0.262323073774", "1.00211681802", "0.88479639614", "15.0429", "-0.2322", "-10.158", "caught"):
        assert expected in printed
    assert "FAILED" not in printed
    assert "\x1b" not in printed


def test_demo_fails_when_something_is_not_as_it_must_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fdcore.models import linear

    exact = linear.LinearRegression.fit
    monkeypatch.setattr(linear.LinearRegression, "fit", lambda self: exact(self) * (1 + 1e-9))
    assert main(["demo"]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_the_planted_bug_must_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from fdcore.models import demo as module

    real = module.check_gradient
    monkeypatch.setattr(module, "check_gradient", lambda f, g, x: real(f, f.gradient, x))  # a check that sees no bug
    assert [section.ok for section in demo()] == [True, True, True, True, False]


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rich_output_in_a_terminal_and_plain_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    section = next(demo())
    rich, plain = FakeTerminal(), FakeTerminal()
    Terminal(rich).section(section)
    Terminal(plain, plain=True).section(section)
    assert "\x1b[" in rich.getvalue()
    assert "\x1b[" not in plain.getvalue()
    for text in (section.title, *[cell for row in section.rows for cell in row]):
        assert text in rich.getvalue()
        assert text in plain.getvalue()


def test_plain_where_rich_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    stream = FakeTerminal()
    Terminal(stream).section(next(demo()))
    assert "\x1b" not in stream.getvalue()


def test_as_a_process(project: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "fdcore", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(rf"fdcore ({re.escape(fd.__version__)}|\(not installed\))\n", run.stdout)
    # `python -m` puts the current directory on the path; the installed command does not, and finds it all the same.
    code = "import sys; sys.path = [p for p in sys.path if p]; from fdcore.cli import main; sys.exit(main())"
    arguments = ["check", "user_module:loss", "--grad", "user_module:wrong", "--at", "params.npz"]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    assert run.stderr == ""
