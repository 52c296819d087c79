"""The pictures: what their artists hold, not which pixels come of it; and that no text lies on another."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import fdcore as fd

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def bowl(x):
    return float(x[0] ** 2 + 3.0 * x[1] ** 2)


def valley(x):
    return float(100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# --- secants


@pytest.mark.parametrize(
    ("method", "slope"),
    [
        ("forward", (math.exp(1.5) - math.e) / 0.5),
        ("backward", (math.e - math.exp(0.5)) / 0.5),
        ("central", math.exp(1.5) - math.exp(0.5)),
    ],
)
def test_a_secant_has_the_slope_of_its_difference(method, slope):
    ax = fd.plots.secants(math.exp, 1.0, 0.5, methods=[method])
    line = next(line for line in ax.lines if line.get_label().startswith(method))
    (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(slope, rel=1e-12)
    points = ax.lines[ax.lines.index(line) + 1]  # it goes through two points of f
    np.testing.assert_allclose(points.get_ydata(), np.exp(points.get_xdata()), rtol=1e-15)
    assert f"off by {abs(slope - math.e):.1e}" in line.get_label()


def test_secants_show_the_function_and_its_tangent():
    ax = fd.plots.secants(math.sin, 0.8, 0.6)
    curve = ax.lines[0]
    np.testing.assert_allclose(curve.get_ydata(), np.sin(curve.get_xdata()), rtol=1e-15)
    (x0, x1), (y0, y1) = ax.lines[1].get_xdata(), ax.lines[1].get_ydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(math.cos(0.8), rel=1e-9)
    assert len({line.get_linestyle() for line in ax.lines[2::2]} - {"None"}) >= 3
    assert ax.get_xlabel() == "x, step h = 0.6"


def test_secants_of_a_given_derivative():
    ax = fd.plots.secants(abs, 0.0, 1.0, exact=0.25)
    assert labels(ax)[1] == "tangent: slope 0.25"


# --- a loss along one weight


def test_along_one_weight_the_others_are_fixed():
    at = {"w": np.array([1.0, 2.0]), "b": 3.0}
    ax = fd.plots.along(lambda p: p["w"] @ p["w"] + 10 * p["b"], at, "w[1]", span=(-1.0, 5.0), points=7)
    x = np.linspace(-1.0, 5.0, 7)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), x)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1.0 + x**2 + 30.0, rtol=1e-15)
    tangent = ax.lines[1]
    assert np.diff(tangent.get_ydata()) / np.diff(tangent.get_xdata()) == pytest.approx(4.0, rel=1e-9)
    assert ax.lines[2].get_xdata() == [2.0]
    assert ax.get_xlabel() == "w[1]"
    assert at == {"w": pytest.approx([1.0, 2.0]), "b": 3.0}


def test_along_takes_arrays_of_any_shape_places_and_models():
    ax = fd.plots.along(lambda x: float(np.sum(x * x) + x.shape[0]), np.ones((2, 2)), 3)
    assert ax.get_xlabel() == "x[1, 1]"
    assert ax.lines[0].get_xdata()[[0, -1]].tolist() == [0.0, 2.0]
    model = fd.models.LinearRegression([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    ax = fd.plots.along(model, [1.0, 1.0], -1, slope=model.gradient([1.0, 1.0])[1], points=3, label="mse")
    assert ax.lines[0].get_ydata()[1] == model([1.0, 1.0])
    assert labels(ax)[0] == "mse"


def test_curves_along_one_weight_in_one_picture_differ_in_more_than_colour():
    ax = fd.plots.along(bowl, [1.0, 1.0], 0, label="0")
    assert fd.plots.along(bowl, [1.0, 1.0], 1, label="1", ax=ax) is ax
    first, second = ax.lines[0], ax.lines[3]
    assert first.get_linestyle() != second.get_linestyle()


# --- convergence


def test_convergence_draws_losses_against_what_is_given():
    epochs, losses = np.linspace(0.0, 3.0, 13), 2.0 ** -np.arange(13.0)
    ax = fd.plots.convergence({"full": losses[:4], "mini": (epochs, losses)}, best=1e-5, xlabel="epochs")
    full, mini, lowest = ax.lines
    assert full.get_xdata().tolist() == [0.0, 1.0, 2.0, 3.0]
    np.testing.assert_array_equal(mini.get_xdata(), epochs)
    np.testing.assert_array_equal(mini.get_ydata(), losses)
    assert set(lowest.get_ydata()) == {1e-5}
    assert labels(ax) == ["full", "mini", "lowest: 1e-05"]
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epochs", "loss")
    assert (full.get_linestyle(), full.get_marker()) != (mini.get_linestyle(), mini.get_marker())


def test_what_descend_returns_can_be_drawn():
    model = fd.models.LinearRegression([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.5])
    mini = fd.models.descend(model, np.zeros(2), rate=0.05, steps=9, batch=2)
    (line,) = fd.plots.convergence({"mini": mini}).lines
    np.testing.assert_array_equal(line.get_xdata(), mini.epochs)
    np.testing.assert_array_equal(line.get_ydata(), mini.losses)
    drawn = fd.plots.descent(model, mini, points=9).lines
    path = next(line for line in drawn if line.get_label() == "path")
    np.testing.assert_array_equal(np.transpose(path.get_data()), mini.path)


def test_losses_that_may_be_negative_are_not_drawn_by_their_logarithm():
    assert fd.plots.convergence({"a": [100.0, 1.0, -1.0]}).get_yscale() == "linear"
    assert fd.plots.convergence({"a": [3.0, 2.0, 1.0]}).get_yscale() == "linear"


def test_runs_of_many_names_stay_apart():
    ax = fd.plots.convergence({str(k): [1.0, 2.0] for k in range(7)})
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in ax.lines}
    assert len(looks) == 7


# --- gradient arrows


@pytest.mark.parametrize("grad", [None, lambda x: np.array([2.0 * x[0], 6.0 * x[1]])], ids=["numeric", "analytic"])
def test_arrows_point_along_the_gradient(grad):
    ax = fd.plots.gradient_arrows(bowl, (-2.0, 2.0), (-1.5, 1.5), grad=grad, arrows=6, points=31)
    arrows = ax.collections[-1]
    at, u, v = arrows.get_offsets(), arrows.U, arrows.V
    expected = np.stack([2.0 * at[:, 0], 6.0 * at[:, 1]], axis=1)
    cosine = (expected[:, 0] * u + expected[:, 1] * v) / (np.hypot(u, v) * np.hypot(*expected.T))
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-9)
    # A longer gradient has a longer arrow, and no arrow reaches beyond its own cell.
    order = np.argsort(np.hypot(*expected.T))
    assert np.all(np.diff(np.hypot(u, v)[order]) >= -1e-9)
    assert np.hypot(u, v).max() <= 0.5
    assert arrows.angles == "xy"
    assert ax.get_aspect() == 1.0


def test_contours_come_closer_to_the_minimum_of_a_valley():
    ax = fd.plots.gradient_arrows(valley, (-1.6, 1.6), (-0.8, 2.2), arrows=4)
    contours = next(c for c in ax.collections if hasattr(c, "levels"))
    assert np.all(np.diff(np.diff(contours.levels)) > 0.0)
    assert contours.levels[0] < 5.0 < 200.0 < contours.levels[-1]


def test_a_flat_function_has_no_arrows_and_no_contours():
    ax = fd.plots.gradient_arrows(lambda x: 1.0, (0.0, 1.0), (0.0, 1.0), arrows=3, points=5)
    assert not np.any(ax.collections[-1].U)


# --- descent

PATH = [[2.0, 1.0, 7.0], [1.6, 0.5, 7.0], [1.0, -0.1, 5.0]]


def test_descent_draws_the_path_over_the_loss_with_the_rest_as_at_the_end():
    seen = []

    def loss(x):
        seen.append(x[2])
        return bowl(x) + x[2]

    ax = fd.plots.descent(loss, PATH, points=21)
    path = next(line for line in ax.lines if line.get_label() == "path")
    assert path.get_xdata().tolist() == [2.0, 1.6, 1.0]
    assert path.get_ydata().tolist() == [1.0, 0.5, -0.1]
    assert set(seen) == {5.0}
    assert len(seen) == 21 * 21
    assert labels(ax) == ["path", "start", "end"]
    assert ax.get_xlim()[0] < 1.0 < 2.0 < ax.get_xlim()[1]


def test_descent_over_other_parameters():
    ax = fd.plots.descent(lambda x: float(x @ x), PATH, vary=(2, 0), points=11, labels=("b", "w"))
    path = next(line for line in ax.lines if line.get_label() == "path")
    assert path.get_xdata().tolist() == [7.0, 7.0, 5.0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("b", "w")


def test_descent_as_a_surface():
    way = np.array(PATH)[:, :2]
    ax = fd.plots.descent(bowl, way, surface=True, points=21)
    x, y, z = next(line for line in ax.lines if line.get_label() == "path").get_data_3d()
    np.testing.assert_allclose(z, [bowl(point) for point in way])
    np.testing.assert_array_equal(np.stack([x, y], axis=1), way)
    assert ax.get_zlabel() == "loss"
    steep = fd.plots.descent(lambda x: math.exp(9.0 * bowl(x)), way, surface=True, points=21)
    assert steep.get_zlabel() == "log10 of the loss"


# --- entries


def test_agreement_tells_verdicts_apart():
    model = fd.models.LogisticRegression(np.random.default_rng(0).normal(size=(30, 9)), np.arange(30) % 2)
    x = np.linspace(-1.0, 1.0, 10)

    def bad(p):
        g = model.gradient(p).copy()
        g[[3, 8]] *= -1.0
        return g

    ax = fd.plots.agreement(fd.check_gradient(model, bad, x))
    drawn = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    assert list(drawn) == ["agree (8)", "wrong (2)"]
    wrong = drawn["wrong (2)"]
    np.testing.assert_array_equal(np.sort(wrong.get_ydata()), np.sort(bad(x)[[3, 8]]))
    np.testing.assert_allclose(np.sort(wrong.get_xdata()), np.sort(model.gradient(x)[[3, 8]]), rtol=1e-7)
    assert wrong.get_marker() != drawn["agree (8)"].get_marker()
    assert ax.get_title() == "the gradient check says: wrong"


def test_agreement_of_entries_of_very_different_sizes():
    scale = np.array([1e-6, 1.0, 1e4])
    ax = fd.plots.agreement(fd.check_gradient(lambda x: float(scale @ x), lambda x: scale, np.ones(3)))
    assert ax.get_xscale() == ax.get_yscale() == "symlog"


def test_agreement_says_when_there_is_nothing_to_draw():
    check = fd.check_gradient(lambda x: float(x @ x), lambda x: 2.0 * x, np.ones(50), mode="projected")
    with pytest.raises(fd.ArgumentError, match="elementwise"):
        fd.plots.agreement(check)


def test_sparsity_draws_every_entry_in_the_colour_of_its_column():
    pattern = np.tri(9, 9, 1) * np.tri(9, 9, 1).T
    ax = fd.plots.sparsity(pattern)
    entries = [(int(c), int(r)) for line in ax.lines for c, r in zip(*line.get_data(), strict=True)]
    assert sorted(entries) == sorted((int(c), int(r)) for r, c in np.argwhere(pattern))
    colors = fd.color_columns(pattern)
    for k, line in enumerate(ax.lines):
        assert {int(colors[int(c)]) for c in line.get_xdata()} == {k}
    assert len({line.get_marker() for line in ax.lines}) == len({line.get_color() for line in ax.lines}) == 3
    assert "3 colours for 9 columns" in ax.get_title()
    assert ax.get_ylim() == (8.5, -0.5)  # row 0 is on top


def test_sparsity_takes_colours_that_fit_and_no_others():
    pattern = np.eye(3)
    assert "3 colours" in fd.plots.sparsity(pattern, [0, 1, 2]).get_title()
    with pytest.raises(fd.ArgumentError, match="row 0"):
        fd.plots.sparsity(np.ones((1, 3)), [0, 1, 1])
    with pytest.raises(fd.ShapeError, match="3 columns"):
        fd.plots.sparsity(pattern, [0, 1])


# --- all of them


def every():
    norm = np.random.default_rng(0).normal
    net = fd.models.MLP(norm(size=(20, 6)), np.arange(20) % 3, hidden=(4,))
    check = fd.check_gradient(net, lambda p: net.gradient(p) * np.where(np.arange(net.n) < 9, 2.0, 1.0), net.initial(1))
    way = np.array(PATH)[:, :2]
    return {
        "secants": lambda ax: fd.plots.secants(math.exp, 1.0, 0.5, ax=ax),
        "along": lambda ax: fd.plots.along(bowl, [1.0, 2.0], ax=ax),
        "convergence": lambda ax: fd.plots.convergence({"a": 0.3 ** np.arange(20), "b": [1.0, 0.1]}, best=0.01, ax=ax),
        "gradient_arrows": lambda ax: fd.plots.gradient_arrows(valley, (-1.6, 1.6), (-0.8, 2.2), points=31, ax=ax),
        "descent": lambda ax: fd.plots.descent(valley, way, points=31, ax=ax),
        "agreement": lambda ax: fd.plots.agreement(check, ax=ax),
        "sparsity": lambda ax: fd.plots.sparsity(np.tri(60, 60, 2) * np.tri(60, 60, 2).T, ax=ax),
        "step_size_curve": lambda ax: fd.step_size_curve(math.exp, 1.0, math.e).plot(ax=ax),
    }


@pytest.mark.parametrize("name", [*fd.plots.__all__, "step_size_curve"])
def test_every_picture_is_labelled_and_its_texts_lie_apart(name, monkeypatch):
    ax = every()[name](None)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ax.has_data()
    ax.figure.canvas.draw()
    boxes = {}
    draw = matplotlib.text.Text.draw

    def record(text, renderer):
        if text.get_visible() and text.get_text().strip():
            boxes[text] = text.get_window_extent(renderer)
        draw(text, renderer)

    # What is drawn is what counts: an axis keeps ticks out of its view too.
    monkeypatch.setattr(matplotlib.text.Text, "draw", record)
    ax.figure.canvas.draw()
    assert len(boxes) > 5
    outside = [text.get_text() for text, box in boxes.items() if box.x0 < -1 or box.x1 > ax.figure.bbox.x1 + 1]
    assert not outside
    pairs = itertools.combinations(boxes.items(), 2)
    assert not [(a.get_text(), b.get_text()) for (a, p), (b, q) in pairs if p.overlaps(q)]


@pytest.mark.parametrize("name", [*fd.plots.__all__, "step_size_curve"])
def test_every_picture_goes_where_it_is_told(name):
    figure, (left, right) = plt.subplots(1, 2)
    assert every()[name](right) is right
    assert right.has_data()
    assert not left.has_data()
    assert figure is right.figure


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fd.plots.secants(math.exp, 1.0, -0.5), "h must be"),
        (lambda: fd.plots.secants(math.exp, 1.0, 0.5, methods=["complex"]), "methods must be"),
        (lambda: fd.plots.along(bowl, [1.0, 2.0], "w"), "'w' is not among the parameters"),
        (lambda: fd.plots.along(bowl, [1.0, 2.0], 2), "entry must be"),
        (lambda: fd.plots.along(bowl, [1.0, 2.0], span=(1.0, 1.0)), "span must be"),
        (lambda: fd.plots.convergence({}), "runs is empty"),
        (lambda: fd.plots.convergence({"a": ([1.0], [1.0, 2.0])}), "run 'a'"),
        (lambda: fd.plots.gradient_arrows(bowl, (1.0, -1.0), (0.0, 1.0)), "xlim must be"),
        (lambda: fd.plots.gradient_arrows(bowl, (0.0, 1.0), (0.0, 1.0), grad=lambda x: 1.0), "grad must return"),
        (lambda: fd.plots.gradient_arrows(lambda x: math.nan, (0.0, 1.0), (0.0, 1.0), grad=lambda x: x), "finite"),
        (lambda: fd.plots.descent(bowl, [1.0, 2.0]), "path must have shape"),
        (lambda: fd.plots.descent(bowl, PATH, vary=(1, 1)), "vary must be"),
        (lambda: fd.plots.descent(bowl, PATH, surface=True, ax=plt.subplots()[1]), "three dimensions"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(fd.FdcoreError, match=message):
        call()


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(fd.MissingExtraError, match=r"fdcore\[plot\]"):
        fd.plots.convergence({"a": [1.0, 2.0]})
