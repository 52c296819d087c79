"""Reports as they should look: ``python tests/golden/golden.py`` writes them anew, ``git diff`` shows what changed.

Each name has four files: ``.json`` is the report as JSON and, with ``.columns.json``, what the others are made of;
``.txt`` is the text, ``.html`` the page, without what matplotlib drew. With ``--run`` the checks are run again first;
without it their numbers stay what they are, so that a difference is one of the report alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import fdcore as fd
from fdcore.report import from_data

FOLDER = Path(__file__).parent
HOSTILE = "<script>alert('$x$')</script>&\"\u202e\x1b[31m\nW"


def agrees() -> fd.GradientCheck:
    """Every entry of three arrays."""
    return fd.check_gradient(*network(lambda g: g))


def factor() -> fd.GradientCheck:
    """A half of one array forgotten."""
    return fd.check_gradient(*network(lambda g: g | {"b": g["b"] / 2}))


def nested() -> fd.GradientCheck:
    """One wrong entry in a nested tree of 10^5 parameters."""
    rng = np.random.default_rng(0)
    layers = [{"W": rng.normal(size=(200, 250)), "b": np.zeros(250)} for _ in range(2)]
    at = {"layers": layers, "scale": (np.array([0.5, 2.0]),)}

    def loss(p):
        parts = [np.sum(np.sin(v)) + np.sum(v * v) for layer in p["layers"] for v in layer.values()]
        return float(sum(parts) + np.sum(np.exp(p["scale"][0])))

    def gradient(p):
        g = [{key: np.cos(v) + 2 * v for key, v in layer.items()} for layer in p["layers"]]
        g[1]["W"][37, 61] *= 1.01
        return {"layers": g, "scale": (np.exp(p["scale"][0]),)}

    return fd.check_gradient(loss, gradient, at)


def noise() -> fd.GradientCheck:
    """Nothing to be said: f has three digits."""
    rng = np.random.default_rng(3)
    return fd.check_gradient(
        lambda x: float(np.sum(x**2) + 100.0 * rng.standard_normal()), lambda x: 2 * x, np.array([1.0, 0.01, 2e-4])
    )


def kink() -> fd.GradientCheck:
    """A valid subgradient."""
    return fd.check_gradient(lambda x: float(np.abs(x).sum()), np.sign, np.array([1.0, 0.0, -2.0]))


def jacobian() -> fd.GradientCheck:
    """Two rows exchanged."""

    def f(x):
        return np.array([x[0] * x[1], np.sin(x[2]), x[0] + x[2] ** 2])

    def jac(x):
        return np.array([[x[1], x[0], 0.0], [1.0, 0.0, 2.0 * x[2]], [0.0, 0.0, np.cos(x[2])]])

    return fd.check_jacobian(f, jac, np.array([2.0, 3.0, 0.5]))


def preflight() -> fd.GradientCheck:
    """Functions that change their input, and a gradient that accumulates."""
    total = np.zeros(3)

    def loss(p):
        value = float(p["w"] @ p["w"])
        p["w"] += 1.0
        return value

    def gradient(p):
        np.add(total, 2.0 * p["w"], out=total)
        return {"w": total}

    return fd.check_gradient(loss, gradient, {"w": np.array([1.0, 2.0, 3.0])})


def hostile() -> fd.GradientCheck:
    """A name that tries everything, and a gradient with NaN and infinity."""

    def gradient(p):
        g = {key: 3.0 * v**2 for key, v in p.items()}
        g[HOSTILE][0, 1], g[HOSTILE][1, 2] = np.nan, np.inf
        return g

    at = {HOSTILE: np.arange(1.0, 7.0).reshape(2, 3), "encoder." * 12 + "weight": np.ones(2)}
    return fd.check_gradient(lambda p: float(sum(np.sum(v**3) for v in p.values())), gradient, at)


def network(change):
    """A small network, its gradient with a change, and a point."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    at = {"W": rng.normal(size=(3, 4)) / 2, "b": 0.1 * rng.normal(size=4), "v": rng.normal(size=4)}

    def loss(p):
        return float(np.mean((np.tanh(X @ p["W"] + p["b"]) @ p["v"] - y) ** 2))

    def gradient(p):
        h = np.tanh(X @ p["W"] + p["b"])
        r = 2.0 * (h @ p["v"] - y) / len(y)
        d = np.outer(r, p["v"]) * (1.0 - h * h)
        return change({"W": X.T @ d, "b": d.sum(0), "v": h.T @ r})

    return loss, gradient, at


CHECKS: dict[str, Callable[[], fd.GradientCheck]] = {
    check.__name__: check for check in (agrees, factor, nested, noise, kink, jacobian, preflight, hostile)
}


def stored(name: str) -> fd.GradientCheck:
    """The check whose numbers are kept."""
    check = from_data((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    columns = json.loads((FOLDER / f"{name}.columns.json").read_text(encoding="utf-8"))
    return replace(check, columns={key: np.array(values, dtype=float) for key, values in columns.items()})


def reports(check: fd.GradientCheck) -> dict[str, str]:
    """Its reports by the end of their file names."""
    drawn = re.sub(r"<svg.*?</svg>", "<svg></svg>", check.to_html(), flags=re.DOTALL)
    return {".txt": f"{check}\n", ".json": check.to_json() + "\n", ".html": drawn}


def main(arguments: list[str]) -> None:
    """Write all files."""
    for name, run in CHECKS.items():
        if "--run" in arguments or not (FOLDER / f"{name}.json").exists():
            check = run()
            columns = {key: [str(v) for v in np.asarray(check.columns[key])] for key in check.columns}
            (FOLDER / f"{name}.columns.json").write_text(json.dumps(columns) + "\n", encoding="utf-8")
        else:
            check = stored(name)
        for suffix, text in reports(check).items():
            (FOLDER / f"{name}{suffix}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
