"""Gradient checkers side by side on one hand-written backward pass, right and with planted bugs.

An MLP whose backward pass is written by hand is given to each checker in the form it wants. Timed is the check of the
right gradient; a miss is a bug that passes, a false alarm a right gradient that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import fdcore as fd
from bench.runner import Call, Case, Contender, Target

TITLE = "Gradient checkers on a hand-written MLP backward pass (floor: 2 calls of f and 1 of its gradient)"
SIZES = ((4, 5, 3), (20, 30, 4), (60, 100, 10))
QUICK = 2  # of the sizes
SLOW = 5000  # parameters above which who takes two evaluations for each is shown two bugs only
RULE = 1e-6  # scipy gives no verdict; this is how its number is read in tutorials


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


def one_entry(factor: float, rank: float = 1.0) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A bug in one entry of the first array: its largest one, so that nobody can say it was too small, or another."""

    def change(g: dict[str, Any]) -> dict[str, Any]:
        order = np.argsort(np.abs(g["W1"]), axis=None)
        g["W1"].flat[order[round(rank * (order.size - 1))]] *= factor
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
    "a median entry +1%": one_entry(1.01, 0.5),
}


def by_fdcore(loss: Any, gradient: Any, point: Any, mode: str = "auto") -> bool:
    """Whether it passes."""
    return fd.check_gradient(loss, gradient, point, mode=mode).verdict != "wrong"


def by_scipy(loss: Any, gradient: Any, point: Any, direction: str) -> bool:
    """The same as functions of one vector; passes if its number is below the tutorials'."""
    from scipy.optimize import check_grad

    shapes = {k: v.shape for k, v in point.items()}
    ends = np.cumsum([v.size for v in point.values()])
    dtype = next(iter(point.values())).dtype

    def split(x: Any) -> dict[str, Any]:
        parts = np.split(np.asarray(x, dtype), ends[:-1])
        return {k: part.reshape(shape) for part, (k, shape) in zip(parts, shapes.items(), strict=True)}

    def join(p: dict[str, Any]) -> Any:
        return np.concatenate([np.ravel(p[k]) for k in shapes]).astype(float)

    error = check_grad(
        lambda x: float(loss(split(x))), lambda x: join(gradient(split(x))), join(point), direction=direction, rng=0
    )
    return bool(error <= RULE)


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


Checker = Callable[[Any, Any, Any], bool]

# Name, checker, whether it takes two evaluations for each parameter.
CHECKERS: list[tuple[str, Checker, bool]] = [
    ("fdcore", by_fdcore, False),
    ("fdcore, along random directions", partial(by_fdcore, mode="projected"), False),
    ("torch gradcheck, slow", partial(by_torch, fast_mode=False), True),
    ("torch gradcheck, fast", partial(by_torch, fast_mode=True), False),
    ("jax check_grads, rev", by_jax, False),
    (f"scipy check_grad, below {RULE:g} is right", partial(by_scipy, direction="all"), True),
    (f"scipy check_grad, one random direction, below {RULE:g}", partial(by_scipy, direction="random"), False),
]


def cases(quick: bool) -> Iterator[Case]:
    """Each size in double and in single precision."""
    for dtype in (np.float64, np.float32):
        for widths in SIZES[: QUICK if quick else None]:
            yield _case(widths, dtype)


def _case(widths: tuple[int, int, int], dtype: Any) -> Case:
    loss, gradient, point = problem(widths, dtype)
    size = sum(v.size for v in point.values())
    contenders, targets = [], []
    for name, checker, dear in CHECKERS:
        judged = _Judged(checker, loss, gradient, point, only=2 if dear and size > SLOW else None)
        if name.startswith("fdcore") and dtype == np.float64:  # a median entry's 1 % is not to be seen in every float32
            targets.append(Target(name, 0, "count"))
        contenders.append(Contender(name, judged.call, answers=False, count=judged.faults, remark=judged.remark))
    return Case(
        f"{np.dtype(dtype).name}, {size} parameters, {len(BUGS)} bugs",
        Contender(
            "2 calls and 1 gradient",
            lambda: Call("f(p), f(p), g(p)", {"f": loss, "g": gradient, "p": point}),
            answers=False,
        ),
        contenders,
        None,
        2,
        targets,
    )


class _Judged:
    """A checker at work on one problem: what it misses and what it makes up."""

    def __init__(self, checker: Checker, loss: Any, gradient: Any, point: Any, only: int | None = None) -> None:
        self.arguments = (checker, loss, gradient, point)
        self.only = only  # so many bugs, where one check takes seconds
        self.found: tuple[bool, list[str]] | None = None

    def call(self) -> Call:
        checker, loss, gradient, point = self.arguments
        return Call("check(f, g, p)", {"check": checker, "f": loss, "g": gradient, "p": point})

    @property
    def bugs(self) -> list[str]:
        # The last ones, wrong in single entries, are those that anybody misses.
        return list(BUGS)[-self.only if self.only else None :]

    def outcome(self) -> tuple[bool, list[str]]:
        """Whether the right gradient fails, and which bugs pass; found out once."""
        if self.found is None:
            checker, loss, gradient, point = self.arguments

            def passes(name: str) -> bool:
                return checker(loss, lambda p: BUGS[name](gradient(p)), point)

            self.found = not checker(loss, gradient, point), [name for name in self.bugs if passes(name)]
        return self.found

    def faults(self, _: bool) -> int:
        """Misses and false alarms."""
        alarm, missed = self.outcome()
        return alarm + len(missed)

    def remark(self) -> str:
        alarm, missed = self.outcome()
        tried = f"of {len(self.bugs)} bugs" + (" (the others were not tried: too slow)" if self.only else "")
        said = f"misses {len(missed)} {tried}" + (f": {', '.join(missed)}" if missed else "")
        checker, *arguments = self.arguments
        if missed and getattr(checker, "func", checker) is by_fdcore:
            mode = getattr(checker, "keywords", {}).get("mode", "auto")
            limit = fd.check_gradient(*arguments, mode=mode).detection_limit
            said += f" (it states that it sees no error of one entry below {limit:.2g} of a typical one)"
        # Whoever calls everything wrong misses nothing.
        return said + ("; FALSE ALARM on the right gradient" if alarm else "")
