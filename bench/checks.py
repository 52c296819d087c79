"""Gradient checkers side by side on one hand-written backward pass: ``python -m bench.checks``.

An MLP whose backward pass is written by hand, correct or with a planted bug, is given to fdcore, to torch's gradcheck
(slow and fast) and to jax's check_grads, each in the form it wants. A miss is a bug that passes, a false alarm a
correct gradient that fails. Not interleaved: what counts is misses; times are of one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fdcore as fd

SIZES = ((4, 5, 3), (20, 30, 4), (60, 100, 10))


def problem(widths: tuple[int, int, int], dtype: Any) -> tuple[Any, Any, dict[str, Any]]:
    """A loss of a dict of arrays, its hand-written gradient, and a point."""
    rng = np.random.default_rng(0)
    n, h, k = widths
    X = rng.standard_normal((32, n)).astype(dtype)
    y = rng.integers(0, k, 32)
    point = {
        "W1": (rng.standard_normal((n, h)) / np.sqrt(n)).astype(dtype),
        "b1": (0.1 * rng.standard_normal(h)).astype(dtype),
        "W2": (rng.standard_normal((h, k)) / np.sqrt(h)).astype(dtype),
        "b2": (0.1 * rng.standard_normal(k)).astype(dtype),
    }

    def forward(p: dict[str, Any]) -> tuple[Any, Any]:
        hidden = np.tanh(X @ p["W1"] + p["b1"])
        z = hidden @ p["W2"] + p["b2"]
        z = z - z.max(1, keepdims=True)
        return hidden, z - np.log(np.exp(z).sum(1, keepdims=True))

    def loss(p: dict[str, Any]) -> Any:
        return -forward({k: np.asarray(v, dtype) for k, v in p.items()})[1][np.arange(32), y].mean()

    def gradient(p: dict[str, Any]) -> dict[str, Any]:
        p = {k: np.asarray(v, dtype) for k, v in p.items()}
        hidden, logs = forward(p)
        d = np.exp(logs)
        d[np.arange(32), y] -= 1
        d /= 32
        back = (d @ p["W2"].T) * (1 - hidden**2)
        return {"W1": X.T @ back, "b1": back.sum(0), "W2": hidden.T @ d, "b2": d.sum(0)}

    return loss, gradient, point


def one_entry(factor: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A bug in one entry of the first array: its largest one, so that nobody can say it was too small."""

    def change(g: dict[str, Any]) -> dict[str, Any]:
        g["W1"].flat[int(np.argmax(np.abs(g["W1"])))] *= factor
        return g

    return change


BUGS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "sign": lambda g: {k: -v for k, v in g.items()},
    "times 2": lambda g: {k: 2 * v for k, v in g.items()},
    "bias forgotten": lambda g: g | {"b1": 0 * g["b1"]},
    "shifted": lambda g: g | {"W1": np.roll(g["W1"], 1)},
    "one row": lambda g: (
        g | {"W1": g["W1"] * np.where(np.arange(len(g["W1"])) == 1, 1.5, 1.0)[:, None].astype(g["W1"].dtype)}
    ),
    "one entry zero": one_entry(0.0),
    "one entry -": one_entry(-1.0),
    "one entry +10%": one_entry(1.1),
}


def by_fdcore(loss: Any, gradient: Any, point: Any) -> bool:
    """Whether it passes."""
    return fd.check_gradient(loss, gradient, point).verdict != "wrong"


def by_torch(loss: Any, gradient: Any, point: Any, fast_mode: bool) -> bool:
    """The same as a custom autograd function."""
    import torch

    names = list(point)

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            p = {k: t.detach().numpy() for k, t in zip(names, tensors, strict=True)}
            ctx.p = p
            return torch.tensor(loss(p), dtype=tensors[0].dtype)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            found = gradient(ctx.p)
            return tuple(g * torch.from_numpy(np.ascontiguousarray(found[k])) for k in names)

    inputs = tuple(torch.from_numpy(v.copy()).requires_grad_() for v in point.values())
    return bool(torch.autograd.gradcheck(Custom.apply, inputs, fast_mode=fast_mode, raise_exception=False))


def by_jax(loss: Any, gradient: Any, point: Any) -> bool:
    """The same as a function with a custom derivative, on the host."""
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in point.items()}
    scalar = jax.ShapeDtypeStruct((), next(iter(point.values())).dtype)
    host = lambda p: np.asarray(loss({k: np.asarray(v) for k, v in p.items()}), scalar.dtype)  # noqa: E731

    @jax.custom_vjp
    def f(p: Any) -> Any:
        return jax.pure_callback(host, scalar, p)

    def forward(p: Any) -> Any:
        return f(p), p

    def backward(p: Any, g: Any) -> Any:
        found = jax.pure_callback(lambda q: gradient({k: np.asarray(v) for k, v in q.items()}), shapes, p)
        return ({k: g * v for k, v in found.items()},)

    f.defvjp(forward, backward)
    try:
        check_grads(f, (point,), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


CHECKERS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "fdcore": by_fdcore,
    "torch slow": lambda f, g, p: by_torch(f, g, p, False),
    "torch fast": lambda f, g, p: by_torch(f, g, p, True),
    "jax": by_jax,
}


def main() -> None:
    """Print the table."""
    for dtype in (np.float64, np.float32):
        print(f"{np.dtype(dtype).name}: seconds for the correct gradient; missed of {len(BUGS)} bugs")
        print(f"{'parameters':>12s}" + "".join(f"{name:>30s}" for name in CHECKERS))
        for widths in SIZES:
            loss, gradient, point = problem(widths, dtype)
            row = f"{sum(v.size for v in point.values()):12d}"
            for check in CHECKERS.values():
                try:
                    start = time.perf_counter()
                    alarm = "" if check(loss, gradient, point) else " FALSE ALARM"
                    seconds = time.perf_counter() - start
                    missed = [
                        b for b, bug in BUGS.items() if check(loss, lambda p, g=gradient, bug=bug: bug(g(p)), point)
                    ]
                    row += f"{f'{seconds:8.3f} s, missed {len(missed)}{alarm}':>30s}"
                except ImportError as error:
                    row += f"{f'not run: {error.name}':>30s}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
