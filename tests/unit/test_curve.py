"""The V of error against step: its two slopes, its bottom, the table and the picture."""

import math

import numpy as np
import pytest

import fdcore as fd


@pytest.mark.parametrize(
    ("method", "order", "power"), [("forward", 1, 1 / 2), ("central", 2, 1 / 3), ("five-point", 4, 1 / 5)]
)
def test_the_two_sides_of_the_v(method, order, power):
    curve = fd.step_size_curve(math.exp, 1.0, math.e)
    h, error = curve.steps, curve.errors[method]
    right = (h > 30 * curve.predicted[method]) & (h < 0.3)
    slope = np.polyfit(np.log(h[right]), np.log(error[right]), 1)[0]
    assert slope == pytest.approx(order, abs=0.2)
    left = (h > 1e-14) & (h < curve.predicted[method] / 100) & (error > 0)
    assert np.polyfit(np.log(h[left]), np.log(error[left]), 1)[0] == pytest.approx(-1.0, abs=0.3)
    assert 0.02 < curve.best[method] / curve.predicted[method] < 50
    assert curve.predicted[method] == pytest.approx((2.0**-53) ** power, rel=4)


def test_without_the_exact_derivative():
    curve = fd.step_size_curve(math.sin, 0.7)
    assert not curve.exact
    assert 1e-8 < curve.best["central"] < 1e-3


def test_gradients_and_exact_as_a_function():
    x = np.array([1.0, -2.0, 0.5])
    calls = []

    def f(z):
        calls.append(1)
        return float(np.sum(z**4))

    curve = fd.step_size_curve(f, x, lambda z: 4 * z**3, methods=["central"], steps=[1e-3, 1e-5, 1e-7])
    assert len(calls) >= curve.nfev == 18
    assert curve.errors["central"].argmin() == 1


def test_steps_that_vanish_are_nan():
    curve = fd.step_size_curve(math.exp, 1e3 / 2, math.exp(500), methods=["forward"])
    assert np.isnan(curve.errors["forward"][0])


def test_the_table_fits_a_screen():
    lines = str(fd.step_size_curve(math.exp, 1.0, math.e)).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["step", "forward", "central", "five-point"]
    assert lines[-1].split()[0] == "predicted"


def test_the_picture_shows_every_method():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = fd.step_size_curve(math.exp, 1.0, math.e).plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["forward", "central", "five-point", "predicted best step"]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlabel()
    assert len([line for line in ax.lines if len(line.get_xdata()) > 10]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": [1.0]}, "steps must"), ({"methods": []}, "methods is empty"), ({"exact": [1.0, 2.0]}, "exact has 2")],
)
def test_bad_arguments(options, message):
    with pytest.raises(fd.ArgumentError, match=message):
        fd.step_size_curve(math.exp, 1.0, **options)


def test_the_complex_step_has_truncation_alone():
    curve = fd.step_size_curve(np.exp, 1.0, math.e, methods=["central", "complex"])
    h, error = curve.steps, curve.errors["complex"]
    assert error[h < 1e-9].max() <= 1e-15
    large = h > 1e-3
    assert np.polyfit(np.log(h[large]), np.log(error[large]), 1)[0] == pytest.approx(2.0, abs=0.2)
    assert curve.predicted["complex"] < 1e-16
    assert "complex" in str(curve)
    with pytest.raises(fd.AnalyticityError):
        fd.step_size_curve(lambda x: np.exp(x) * np.conj(x), 1.0, methods=["complex"])
