"""Labels: each one in the code is documented in the guide, and each finding before the comparison can be triggered."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fdcore as fd
from fdcore.check import diagnose, preflight

ROOT = Path(__file__).resolve().parents[2]
SOURCES = "".join(path.read_text() for path in (ROOT / "src/fdcore/check").glob("*.py"))
GUIDE = (ROOT / "docs/guide/checks.md").read_text()

X = np.array([1.0, -2.0, 3.0])


def square(x):
    return float(np.sum(np.asarray(x, dtype=float) ** 2))


def double(x):
    return 2.0 * x


def test_every_label_of_a_diagnosis_is_documented():
    used = set(re.findall(r'(?:Claim|Diagnosis)\(\s*"([a-z0-9-]+)"', SOURCES))
    used |= set(re.findall(r'claim\.label, claim\.key = "([a-z0-9-]+)"', SOURCES))
    used |= {"single-row", "single-column", "single-slice"}  # chosen by an expression
    assert used == set(diagnose.LABELS)
    table = GUIDE.partition("## What the bug may be")[2].partition("\n## ")[0]
    assert used == set(re.findall(r"`([a-z0-9-]+)`", "\n".join(re.findall(r"^\|(.*?)\|", table, re.M))))


def test_every_label_of_a_note_is_documented():
    used = set(re.findall(r'(?:note|Note)\(\s*"([a-z0-9-]+)"', SOURCES))
    assert used == {note for note in re.findall(r'``"([a-z0-9-]+)"``', preflight.__doc__)} - {
        "type",
        "missing",
        "extra",
        "shape",
    }
    section = GUIDE.partition("## Before the gradient is blamed")[2].partition("\n## ")[0]
    assert used <= set(re.findall(r"`([a-z0-9-]+)`", section))


class Remembers:
    """State of all kinds."""

    def __init__(self):
        self.calls = 0
        self.store = np.zeros(3)
        self.last = None
        self.rng = np.random.default_rng(0)

    def mutating(self, x):
        value = square(x)
        x[0] = 7.0
        return value

    def drifting(self, x):
        self.calls += not np.array_equal(x, X)
        return square(x) + 1e-3 * min(self.calls, 1)

    def noisy(self, x):
        return square(x) + 1e-6 * self.rng.standard_normal()

    def noisy_gradient(self, x):
        return double(x) + 1e-3 * self.rng.standard_normal(3)

    def accumulating(self, x):
        self.store = self.store + double(x)
        return self.store.copy()

    def reusing(self, x):
        self.store[:] = double(x)
        return self.store

    def caching(self, x):
        self.last = x.copy()
        return square(x)

    def cached(self, x):
        return double(self.last if self.last is not None else x)

    def stale(self, x):
        if self.last is None:
            self.last = double(x)
        return self.last.copy()

    def aliasing(self, x):
        x *= 2.0
        return x


def at(method, gradient=None):
    def make():
        state = Remembers()
        f = getattr(state, method) if isinstance(method, str) else method
        return f, getattr(state, gradient) if isinstance(gradient, str) else gradient or double, X

    return make


def nan_gradient(x):
    return double(x) * np.array([1.0, np.nan, 1.0])


FINDINGS = [
    ("input-mutated", at("mutating"), "writes into its input"),
    ("input-mutated", at(square, "aliasing"), "the gradient writes into its input"),
    ("f-not-repeatable", at("noisy"), "varies by"),
    ("f-order", at("drifting"), "remembers something"),
    ("gradient-not-repeatable", at(square, "noisy_gradient"), "differs between calls"),
    ("gradient-accumulates", at(square, "accumulating"), "called twice"),
    ("gradient-order", at("caching", "cached"), "after f had been called elsewhere"),
    ("stale-cache", at(square, "stale"), "does not notice that the point moved"),
    ("output-reused", at(square, "reusing"), "same memory"),
    ("output-aliased", at(square, "aliasing"), "its own input"),
    ("non-finite", at(lambda x: float("inf")), "choose another"),
    ("non-finite", at(square, nan_gradient), "NaN or infinite: x[1]"),
    ("shape", at(square, lambda x: np.ones((2, 2))), "shape (2, 2), but the parameter has (3,)"),
    ("missing", lambda: (lambda p: square(p["a"]), lambda p: {"a": None}, {"a": X}), "None instead of an array"),
    ("missing", lambda: (lambda p: square(p["a"]), lambda p: {}, {"a": X}), "not there"),
    ("extra", lambda: (lambda p: square(p["a"]), lambda p: {"a": double(p["a"]), "b": 1.0}, {"a": X}), "'b'"),
    ("type", at(square, lambda x: "2 x"), "str instead of"),
    ("dtype", lambda: (square, double, X.astype(np.float32)), "the parameters are in single precision"),
    ("dtype", at(lambda x: np.float32(square(x))), "the values of f are in single precision"),
    ("dtype", at(square, lambda x: double(x).astype(np.float32)), "the gradient is in single precision"),
    ("dtype", at(square, lambda x: double(x).astype(int)), "whole numbers"),
    ("uninformative", lambda: (square, double, np.zeros(3)), "displaced point"),
    ("kink", lambda: (lambda x: float(np.abs(x).sum()), np.sign, np.array([0.0, 1.0])), "valid subgradient"),
]


@pytest.mark.parametrize(("label", "make", "words"), FINDINGS, ids=[f"{k}-{v[0]}" for k, v in enumerate(FINDINGS)])
def test_every_finding_has_its_sentence(label, make, words):
    check = fd.check_gradient(*make())
    said = [note.message for note in check.notes if note.label == label]
    assert said, [note.label for note in check.notes]
    assert any(words in message for message in said), said
    assert label in str(check)


def test_steps_that_single_precision_cannot_see():
    """A function that is flat below one ulp of float32 says that it has too few digits, not that its slope is 0."""
    check = fd.check_gradient(lambda x: float(np.sum(np.float32(x))), np.ones_like, np.array([3.0e7, 1.0e7]))
    assert check.verdict != "wrong"
    assert "dtype" in [note.label for note in check.notes]


def test_a_correct_gradient_of_a_constant_needs_no_note():
    check = fd.check_gradient(lambda x: 3.0, np.zeros_like, X)
    assert check.verdict == "agrees"
    assert check.notes == ()


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
@pytest.mark.parametrize(
    ("f", "grad", "x"),
    [
        (lambda x: float(np.max(x)), lambda x: (x == x.max()) / np.sum(x == x.max()), np.ones(4)),
        (lambda x: float(np.maximum(x, 0.0).sum()), lambda x: 1.0 * (x > 0), np.zeros(5)),
        (lambda x: float(np.linalg.norm(x)), lambda x: x / max(np.linalg.norm(x), 1e-300), np.zeros(3)),
        (
            lambda x: float(np.sqrt(x[0]) + x[1] ** 2),
            lambda x: np.array([0.5 / np.sqrt(x[0]), 2 * x[1]]),
            [1e-300, 2.0],
        ),
        (lambda x: float(np.sum(np.cbrt(x))), lambda x: 1.0 / (3.0 * np.cbrt(x) ** 2), np.array([1e-200, 1.0])),
        (lambda x: float(np.log(x).sum()), lambda x: 1.0 / x, np.array([1e-300, 1.0])),
        (lambda x: float(1e300 * np.mean(x**2)), lambda x: 1e300 * 2 / 3 * x, X),
        (lambda x: float(1e-300 * np.mean(x**2)), lambda x: 1e-300 * 2 / 3 * x, X),
        (lambda x: 1e10 + float(np.sum(x**2)), lambda x: 2 * x, X),
        (lambda x: float(np.round(np.sum(x**2), 6)), lambda x: 2 * x, X),
        (
            lambda x: float(np.sum((1 - x) ** 1.5)) if np.all(x <= 1) else np.nan,
            lambda x: -1.5 * np.sqrt(1 - x),
            [1.0, 0.5],
        ),
    ],
)
def test_what_is_hard_is_never_called_wrong(f, grad, x, mode):
    assert fd.check_gradient(f, grad, np.asarray(x, dtype=float), mode=mode).verdict != "wrong"


def test_several_points_say_which_one():
    check = fd.check_gradient(square, lambda x: np.where(x > 5.0, np.nan, 2 * x), np.array([4.9, -3.0]), points=8)
    assert check.verdict == "wrong"
    assert any(note.message.startswith("at point ") for note in check.notes)


def test_a_directed_check_says_that_rtol_let_something_pass():
    """Along directions too: an agreement that needed rtol is said to be one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(2000)
    check = fd.check_gradient(square, lambda x: 2.0002 * x, x, rtol=1e-3, mode="projected")
    assert check.verdict == "agrees"
    assert [note.label for note in check.notes] == ["within-rtol"]
    assert fd.check_gradient(square, lambda x: 2.02 * x, x, rtol=1e-3, mode="projected").verdict == "wrong"
