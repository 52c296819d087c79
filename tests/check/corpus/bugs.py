"""What people get wrong: each bug turns a correct gradient into a wrong one and knows its name.

A bug is a function of (case, gradient, parameters, rng) that returns the wrong gradient, or None where the case gives
no occasion for it. `names` are the labels of the diagnosis that would be right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BUGS = []


@dataclass
class Bug:
    """A planted bug."""

    name: str
    names: tuple[str, ...]
    plant: object


def bug(*names):
    def wrap(plant):
        BUGS.append(Bug(plant.__name__, names, plant))
        return plant

    return wrap


def each(change):
    return lambda case, g, p, rng: {k: change(v) for k, v in g.items()}


def largest(g, at_least=2):
    name = max(g, key=lambda k: g[k].size)
    return name if g[name].size >= at_least else None


def matrices(g):
    return [k for k, v in g.items() if v.ndim >= 2 and min(v.shape[:2]) > 1]


def pick(rng, names):
    return names[rng.integers(len(names))] if names else None


BUGS += [
    Bug("sign", ("sign",), each(lambda v: -v)),
    Bug("twice", ("factor",), each(lambda v: 2 * v)),
    Bug("half", ("factor",), each(lambda v: v * v.dtype.type(0.5))),
    Bug("ten_percent", ("factor",), each(lambda v: v * v.dtype.type(1.1))),
    Bug("zero", ("zero",), each(lambda v: 0 * v)),
]


@bug("factor-size", "factor")
def sum_for_mean(case, g, p, rng):
    n = case.facts.get("batch")
    return {k: v * n for k, v in g.items()} if n else None


@bug("factor-size", "factor")
def mean_for_sum(case, g, p, rng):
    n = case.facts.get("batch")
    return {k: v / v.dtype.type(n) for k, v in g.items()} if n else None


@bug("sign")
def sign_of_one_array(case, g, p, rng):
    name = pick(rng, list(g))
    return g | {name: -g[name]} if len(g) > 1 else None


@bug("factor", "factor-size")
def factor_of_one_array(case, g, p, rng):
    name = pick(rng, list(g))
    return g | {name: g[name] * 2} if len(g) > 1 else None


@bug("zero")
def array_forgotten(case, g, p, rng):
    name = pick(rng, list(g))
    return g | {name: 0 * g[name]} if len(g) > 1 else None


@bug("missing-regularization")
def regularization_missing(case, g, p, rng):
    lam = case.facts.get("lambda")
    if not lam:
        return None
    lam = case.dtype(2 * lam * case.scale)
    return {k: v - lam * p[k].astype(v.dtype) if k in case.facts["regular"] else v for k, v in g.items()}


@bug("missing-regularization")
def regularization_halved(case, g, p, rng):
    lam = case.facts.get("lambda")
    if not lam:
        return None
    lam = case.dtype(lam * case.scale)
    return {k: v - lam * p[k].astype(v.dtype) if k in case.facts["regular"] else v for k, v in g.items()}


@bug("missing-regularization")
def l1_missing(case, g, p, rng):
    lam = case.facts.get("lambda1")
    return {k: v - case.dtype(lam * case.scale) * np.sign(p[k]).astype(v.dtype) for k, v in g.items()} if lam else None


@bug("extra-regularization")
def regularization_on_the_bias(case, g, p, rng):
    lam = case.facts.get("lambda")
    names = [k for k in g if k not in case.facts.get("regular", ()) and g[k].size > 2]
    if not lam or not names:
        return None
    lam = case.dtype(2 * lam * case.scale)
    return g | {k: g[k] + lam * p[k].astype(g[k].dtype) for k in names}


@bug("transpose")
def transpose(case, g, p, rng):
    squares = [k for k in matrices(g) if g[k].ndim == 2 and g[k].shape[0] == g[k].shape[1]]
    name = pick(rng, squares)
    return g | {name: g[name].T.copy()} if name else None


@bug("transpose")
def transposed_shape(case, g, p, rng):
    name = pick(rng, [k for k in matrices(g) if g[k].ndim == 2 and g[k].shape[0] != g[k].shape[1]])
    return g | {name: g[name].T.copy()} if name else None


@bug("transpose")
def reshaped_in_the_wrong_order(case, g, p, rng):
    name = pick(rng, [k for k in matrices(g) if g[k].ndim == 2])
    return g | {name: g[name].ravel().reshape(g[name].shape, order="F")} if name else None


@bug("permutation")
def off_by_one(case, g, p, rng):
    name = largest(g, 4)
    return g | {name: np.roll(g[name].ravel(), 1).reshape(g[name].shape)} if name else None


@bug("permutation")
def backwards(case, g, p, rng):
    name = largest(g, 4)
    return g | {name: g[name].ravel()[::-1].reshape(g[name].shape).copy()} if name else None


@bug("permutation", "single-entry")
def two_entries_exchanged(case, g, p, rng):
    name = largest(g, 4)
    if name is None:
        return None
    v = g[name].ravel().copy()
    i, j = rng.choice(v.size, 2, replace=False)
    v[[i, j]] = v[[j, i]]
    return g | {name: v.reshape(g[name].shape)}


def one_entry(change, name):
    def plant(case, g, p, rng):
        array = pick(rng, [k for k in g if g[k].size > 2])
        if array is None:
            return None
        v = g[array].ravel().copy()
        v[rng.integers(v.size)] *= v.dtype.type(change)
        return g | {array: v.reshape(g[array].shape)}

    plant.__name__ = name
    return plant


BUGS += [
    Bug("one_entry_zero", ("single-entry",), one_entry(0.0, "")),
    Bug("one_entry_sign", ("single-entry", "sign-entries"), one_entry(-1.0, "")),
    Bug("one_entry_1_percent", ("single-entry",), one_entry(1.01, "")),
    Bug("one_entry_nan", ("non-finite",), one_entry(np.nan, "")),
]


def block(axis, factor, label):
    def plant(case, g, p, rng):
        array = pick(rng, matrices(g))
        if array is None:
            return None
        v = g[array].copy()
        key = [slice(None)] * v.ndim
        key[axis] = rng.integers(v.shape[axis])
        v[tuple(key)] *= v.dtype.type(factor)
        return g | {array: v}

    return plant


BUGS += [
    Bug("one_row", ("single-row",), block(0, 1.5, "")),
    Bug("one_column", ("single-column", "single-slice"), block(1, 0.0, "")),
    Bug("one_row_sign", ("single-row", "sign-entries"), block(0, -1.0, "")),
]


@bug("diagonal", "sign-entries")
def sign_of_the_diagonal(case, g, p, rng):
    name = pick(rng, [k for k in matrices(g) if g[k].ndim == 2])
    if name is None:
        return None
    v = g[name].copy()
    k = np.arange(min(v.shape))
    v[k, k] *= -1
    return g | {name: v}


@bug("wrong-axis")
def mean_over_an_axis(case, g, p, rng):
    name = pick(rng, [k for k in matrices(g) if g[k].ndim == 2])
    return g | {name: np.broadcast_to(g[name].mean(0), g[name].shape).copy()} if name else None


@bug("not-reduced")
def batch_axis_not_reduced(case, g, p, rng):
    name = pick(rng, [k for k in g if g[k].ndim == 1])
    if name is None:
        return None
    share = rng.dirichlet(np.ones(5)).astype(g[name].dtype)
    return g | {name: share[:, None] * g[name]}


@bug("overwritten")
def overwritten(case, g, p, rng):
    name = case.facts.get("embedding")
    if name is None:
        return None
    counts = np.maximum(case.facts["counts"], 1).astype(g[name].dtype)
    return g | {name: g[name] / counts[:, None]}


@bug("operation")
def multiplied_by_x(case, g, p, rng):
    name = largest(g, 3)
    return g | {name: g[name] * p[name].astype(g[name].dtype)} if name else None


@bug("operation")
def divided_by_x(case, g, p, rng):
    name = largest(g, 3)
    return g | {name: g[name] / p[name].astype(g[name].dtype)} if name else None


@bug("operation")
def jacobian_of_exp_missing(case, g, p, rng):
    name = largest(g, 3)
    return g | {name: g[name] * np.exp(-p[name]).astype(g[name].dtype)} if name else None


@bug("operation")
def squared(case, g, p, rng):
    name = largest(g, 3)
    return g | {name: g[name] ** 2} if name else None


@bug("threshold")
def negative_side_forgotten(case, g, p, rng):
    name = largest(g, 6)
    if name is None or np.all(p[name] > 0) or np.sum(p[name] < 0) < 3 or np.sum(p[name] > 0) < 3:
        return None
    return g | {name: np.where(p[name] > 0, g[name], 0).astype(g[name].dtype)}


@bug("threshold")
def clipped(case, g, p, rng):
    name = largest(g, 6)
    if name is None:
        return None
    limit = np.quantile(np.abs(g[name]), 0.6)
    return g | {name: np.clip(g[name], -limit, limit)}


@bug("offset")
def constant_added(case, g, p, rng):
    name = largest(g, 3)
    return g | {name: g[name] + g[name].dtype.type(0.3) * np.abs(g[name]).max()} if name else None


@bug("arrays-exchanged", "transpose")
def arrays_exchanged(case, g, p, rng):
    names = list(g)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if g[a].shape == g[b].shape and g[a].size]
    if not pairs:
        return None
    a, b = pairs[rng.integers(len(pairs))]
    return g | {a: g[b], b: g[a]}


@bug("factor", "factor-size")
def each_array_its_own_factor(case, g, p, rng):
    if len(g) < 2:
        return None
    return {k: v * v.dtype.type(0.1 * (1 + i)) for i, (k, v) in enumerate(g.items())}


class Stateful:
    """Gradients that are wrong because they remember: made per case, not planted in numbers."""

    @staticmethod
    def accumulates(case):
        kept = {}

        def grad(p):
            for k, v in case.gradient(p).items():
                kept[k] = kept.get(k, 0) + v
            return dict(kept)

        return grad

    @staticmethod
    def stale_cache(case):
        kept = []

        def grad(p):
            if not kept:
                kept.append(case.gradient(p))
            return {k: v.copy() for k, v in kept[0].items()}

        return grad

    @staticmethod
    def random(case):
        rng = np.random.default_rng(0)

        def grad(p):
            return {k: v * (rng.random(v.shape) < 0.5) * 2 for k, v in case.gradient(p).items()}

        return grad


STATEFUL = {
    "accumulates": (Stateful.accumulates, "gradient-accumulates"),
    "stale_cache": (Stateful.stale_cache, "stale-cache"),
    "random": (Stateful.random, "gradient-not-repeatable"),
}
