"""Functions with correct gradients: `CASES` maps a name to a maker of (f on the tape, parameters, facts).

`facts` are what a person would know about the case and a bug can be planted by: sizes of the data, the weight of the
regularisation and the arrays that it is on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from corpus import tape as t

CASES = {}


@dataclass
class Case:
    """A function on the tape and the point at which it is checked; calling it gives the value."""

    name: str
    loss: object
    params: dict
    facts: dict = field(default_factory=dict)
    dtype: type = np.float64
    scale: float = 1.0

    def __call__(self, params):
        value = self.loss({k: t.Var(np.asarray(v, self.dtype)) for k, v in params.items()}).v
        return self.dtype(self.scale) * value

    def gradient(self, params):
        found = t.gradient(self.loss, {k: np.asarray(v, self.dtype) for k, v in params.items()})
        return {k: self.dtype(self.scale) * v for k, v in found.items()}


def case(maker):
    CASES[maker.__name__] = maker
    return maker


def build(name, dtype=np.float64, seed=0, scale=1.0):
    """Make a case; data and parameters are those of the seed in either dtype."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])

    def normal(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(dtype)

    loss, params, facts = CASES[name](normal, rng, dtype)
    return Case(name, loss, {k: np.asarray(v, dtype) for k, v in params.items()}, facts, dtype, scale)


def data(normal, rng, rows=24, columns=4, classes=3):
    X = normal(rows, columns)
    return X, rng.integers(0, classes, rows), np.asarray(rng.random(rows) < 0.5, X.dtype)


def cross_entropy(z, y):
    return (t.logsumexp(z)[:, 0] - z[np.arange(len(y)), y]).mean()


def regression(loss_of, regular=0.0):
    def make(normal, rng, dtype):
        X = normal(24, 5)
        y = X @ normal(5) + normal(24, scale=0.3)

        def loss(p):
            value = loss_of(X @ p["w"] + p["b"] - y)
            return value + dtype(regular) * (p["w"] ** 2).sum() if regular else value

        return loss, {"w": normal(5), "b": normal()}, {"batch": 24, "lambda": regular, "regular": ["w"]}

    return make


CASES["linear"] = regression(lambda r: (r * r).mean())
CASES["ridge"] = regression(lambda r: (r * r).mean(), 0.1)
CASES["huber"] = regression(lambda r: ((r * r + 1.0) ** 0.5 - 1.0).mean())
CASES["student_t"] = regression(lambda r: t.log(1.0 + r * r * r.v.dtype.type(0.25)).sum())
CASES["quantile"] = regression(lambda r: (t.relu(r) * 0.7 + t.relu(-r) * 0.3).mean())


def mlp(activation, regular=0.0):
    def make(normal, rng, dtype):
        X, y, _ = data(normal, rng)

        def loss(p):
            h = activation(X @ p["W1"] + p["b1"])
            value = cross_entropy(h @ p["W2"] + p["b2"], y)
            if regular:
                value = value + dtype(regular) * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
            return value

        params = {"W1": normal(4, 6), "b1": normal(6, scale=0.1), "W2": normal(6, 3), "b2": normal(3, scale=0.1)}
        return loss, params, {"batch": 24, "classes": 3, "lambda": regular, "regular": ["W1", "W2"]}

    return make


CASES["mlp_tanh"] = mlp(t.tanh)
CASES["mlp_relu"] = mlp(t.relu)
CASES["mlp_sigmoid"] = mlp(t.sigmoid)
CASES["mlp_softplus"] = mlp(t.softplus)
CASES["mlp_silu"] = mlp(lambda z: z * t.sigmoid(z))
CASES["mlp_gelu"] = mlp(lambda z: z * 0.5 * (t.erf(z * z.v.dtype.type(0.5**0.5)) + 1.0))
CASES["mlp_leaky"] = mlp(lambda z: t.relu(z) - t.relu(-z) * z.v.dtype.type(0.1))
CASES["mlp_l2"] = mlp(t.tanh, 0.05)


@case
def polynomial(normal, rng, dtype):
    x = normal(30)
    y = np.sin(x)
    powers = np.stack([x**k for k in range(5)], 1)
    return lambda p: ((powers @ p["c"] - y) ** 2).mean(), {"c": normal(5)}, {"batch": 30}


@case
def logistic(normal, rng, dtype):
    X, _, y = data(normal, rng, 30)

    def loss(p):
        z = X @ p["w"] + p["b"]
        return (t.softplus(z) - y * z).mean() + dtype(0.02) * (p["w"] ** 2).sum()

    return loss, {"w": normal(4), "b": normal()}, {"batch": 30, "lambda": 0.02, "regular": ["w"]}


@case
def softmax(normal, rng, dtype):
    X, y, _ = data(normal, rng, 20, 5, 4)
    return (
        lambda p: cross_entropy(X @ p["W"] + p["b"], y),
        {"W": normal(5, 4), "b": normal(4)},
        {"batch": 20, "classes": 4},
    )


@case
def poisson(normal, rng, dtype):
    X = normal(24, 4, scale=0.5)
    y = rng.poisson(2.0, 24).astype(dtype)

    def loss(p):
        eta = X @ p["w"] + p["b"]
        return (t.exp(eta) - y * eta).mean()

    return loss, {"w": normal(4), "b": normal()}, {"batch": 24}


@case
def gamma_glm(normal, rng, dtype):
    X = normal(24, 3, scale=0.5)
    y = rng.gamma(2.0, 1.0, 24).astype(dtype)

    def loss(p):
        eta, k = X @ p["w"], t.exp(p["shape"])
        return (t.lgamma(k) - k * t.log(k) + k * eta - (k - 1.0) * np.log(y) + k * y * t.exp(-eta)).mean()

    return loss, {"w": normal(3), "shape": np.array(0.4)}, {"batch": 24}


@case
def probit(normal, rng, dtype):
    X, _, y = data(normal, rng)

    def loss(p):
        q = (t.erf(X @ p["w"] * dtype(0.5**0.5)) + 1.0) * 0.5
        return -(y * t.log(q) + (1 - y) * t.log(1.0 - q)).mean()

    return loss, {"w": normal(4, scale=0.5)}, {"batch": 24}


@case
def conv1d(normal, rng, dtype):
    X, y = normal(6, 2, 12), normal(6)
    window = np.arange(10)[:, None] + np.arange(3)

    def loss(p):
        patches = X[:, :, window].transpose(0, 2, 1, 3).reshape(6, 10, 6)
        h = t.tanh(patches @ p["K"].reshape(4, 6).T + p["b"])
        return ((h.mean(1) @ p["v"] - y) ** 2).mean()

    return loss, {"K": normal(4, 2, 3), "b": normal(4), "v": normal(4)}, {"batch": 6}


@case
def conv2d(normal, rng, dtype):
    X, y = normal(3, 8, 8), np.array([0, 2, 1])
    rows = np.arange(6)[:, None, None, None] + np.arange(3)[:, None]
    columns = np.arange(6)[:, None, None] + np.arange(3)

    def loss(p):
        patches = X[:, rows, columns].reshape(3, 36, 9)
        h = t.relu(patches @ p["K"].reshape(4, 9).T + p["b"])
        pooled = h.reshape(3, 6, 3, 2, 4).mean(3).reshape(3, 72)
        return cross_entropy(pooled @ p["W"], y)

    return loss, {"K": normal(4, 3, 3), "b": normal(4), "W": normal(72, 3, scale=0.2)}, {"batch": 3}


@case
def max_pool(normal, rng, dtype):
    X, y = normal(8, 12), normal(8)

    def loss(p):
        h = t.amax(t.tanh(X @ p["W"]).reshape(8, 3, 4), -1).reshape(8, 3)
        return ((h @ p["v"] - y) ** 2).mean()

    return loss, {"W": normal(12, 12, scale=0.4), "v": normal(3)}, {"batch": 8}


def normalise(h, axis):
    centred = h - h.mean(axis, keepdims=True)
    return centred * ((centred * centred).mean(axis, keepdims=True) + h.v.dtype.type(1e-5)) ** -0.5


def norm_case(axis):
    def make(normal, rng, dtype):
        X, y, _ = data(normal, rng, 12)

        def loss(p):
            h = normalise(X @ p["W"] + p["c"], axis) * p["gain"] + p["shift"]
            return cross_entropy(t.tanh(h) @ p["V"], y)

        params = {
            "W": normal(4, 6),
            "c": normal(6),
            "gain": 1 + normal(6, scale=0.2),
            "shift": normal(6),
            "V": normal(6, 3),
        }
        return loss, params, {"batch": 12, "classes": 3}

    return make


CASES["layer_norm"] = norm_case(1)
CASES["batch_norm"] = norm_case(0)


@case
def attention(normal, rng, dtype):
    X, y = normal(5, 4), normal(5, 4)

    def loss(p):
        q, k, v = X @ p["Q"], X @ p["K"], X @ p["V"]
        scores = q @ k.T * dtype(0.5)
        return ((t.exp(scores - t.logsumexp(scores)) @ v @ p["O"] - y) ** 2).mean()

    return loss, {k: normal(4, 4, scale=0.6) for k in "QKVO"}, {"tokens": 5}


@case
def rnn(normal, rng, dtype):
    X, y = normal(7, 3), normal(2)

    def loss(p):
        h = t.Var(np.zeros(4, dtype))
        for x in X:
            h = t.tanh(p["U"] @ x + p["W"] @ h + p["b"])
        return ((p["V"] @ h - y) ** 2).sum()

    return loss, {"U": normal(4, 3), "W": normal(4, 4, scale=0.5), "b": normal(4), "V": normal(2, 4)}, {"steps": 7}


@case
def gru(normal, rng, dtype):
    X, y = normal(5, 3), normal(4)

    def loss(p):
        h = t.Var(np.zeros(4, dtype))
        for x in X:
            both = t.concatenate([t.Var(x), h])
            z, r = t.sigmoid(p["Wz"] @ both), t.sigmoid(p["Wr"] @ both)
            h = (1.0 - z) * h + z * t.tanh(p["Wh"] @ t.concatenate([t.Var(x), r * h]) + p["b"])
        return ((h - y) ** 2).sum()

    return loss, {**{k: normal(4, 7, scale=0.5) for k in ("Wz", "Wr", "Wh")}, "b": normal(4)}, {"steps": 5}


@case
def lstm(normal, rng, dtype):
    X, y = normal(4, 2), normal(3)

    def loss(p):
        h = c = t.Var(np.zeros(3, dtype))
        for x in X:
            g = p["W"] @ t.concatenate([t.Var(x), h]) + p["b"]
            i, f, o, n = t.sigmoid(g[:3]), t.sigmoid(g[3:6]), t.sigmoid(g[6:9]), t.tanh(g[9:])
            c = f * c + i * n
            h = o * t.tanh(c)
        return ((h - y) ** 2).sum()

    return loss, {"W": normal(12, 5, scale=0.6), "b": normal(12)}, {"steps": 4}


@case
def embedding(normal, rng, dtype):
    tokens = rng.integers(0, 7, (10, 3))
    tokens[0] = 2
    y = rng.integers(0, 3, 10)

    def loss(p):
        h = p["E"][tokens].mean(1)
        return cross_entropy(t.tanh(h) @ p["W"], y)

    counts = np.bincount(tokens.ravel(), minlength=7)
    return loss, {"E": normal(7, 4), "W": normal(4, 3)}, {"batch": 10, "counts": counts, "embedding": "E"}


@case
def kalman(normal, rng, dtype):
    y = np.cumsum(normal(25, scale=0.5)) + normal(25)

    def loss(p):
        q, r = t.exp(p["log_q"]), t.exp(p["log_r"])
        mean, variance, total = p["start"], t.Var(np.asarray(1.0, dtype)), 0.0
        for value in y:
            variance = variance * p["phi"] * p["phi"] + q
            mean = mean * p["phi"]
            s = variance + r
            e = dtype(value) - mean
            total = total + t.log(s) + e * e / s
            gain = variance / s
            mean = mean + gain * e
            variance = (1.0 - gain) * variance
        return total * 0.5

    params = {"log_q": np.array(-1.0), "log_r": np.array(0.2), "phi": np.array(0.9), "start": np.array(0.3)}
    return loss, params, {"steps": 25}


@case
def ode_fit(normal, rng, dtype):
    times = np.linspace(0, 3, 7)
    y = np.stack([1 + 0.5 * np.sin(times), 1 + 0.4 * np.cos(times)], 1).astype(dtype)

    def slope(u, k):
        a, b = u[0], u[1]
        return t.concatenate([(k[0] * a - k[1] * a * b).reshape(1), (k[2] * a * b - k[3] * b).reshape(1)])

    def loss(p):
        u, total, h = p["u0"], 0.0, dtype(0.1)
        for k in range(7):
            r = u - y[k]
            total = total + (r * r).sum()
            for _ in range(5):
                k1 = slope(u, p["k"])
                k2 = slope(u + h * 0.5 * k1, p["k"])
                k3 = slope(u + h * 0.5 * k2, p["k"])
                k4 = slope(u + h * k3, p["k"])
                u = u + h / 6 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return total

    return loss, {"k": np.array([1.1, 0.9, 0.8, 1.0]), "u0": np.array([1.2, 0.7])}, {"steps": 35}


@case
def mixture(normal, rng, dtype):
    x = np.concatenate([normal(15), normal(15) + dtype(3.0)])[:, None]

    def loss(p):
        z = (x - p["mean"]) * t.exp(-p["log_sd"])
        joint = p["logit"] - t.logsumexp(p["logit"], 0) - p["log_sd"] - z * z * 0.5
        return -t.logsumexp(joint).mean()

    return loss, {"mean": np.array([0.5, 2.0]), "log_sd": normal(2, scale=0.3), "logit": normal(2)}, {"batch": 30}


@case
def rosenbrock(normal, rng, dtype):
    def loss(p):
        x = p["x"]
        return ((x[1:] - x[:-1] ** 2) ** 2 * dtype(100) + (1.0 - x[:-1]) ** 2).sum()

    return loss, {"x": normal(6)}, {}


@case
def factorisation(normal, rng, dtype):
    M = normal(6, 5)
    mask = (rng.random((6, 5)) < 0.7).astype(dtype)

    def loss(p):
        r = (p["U"] @ p["V"].T - M) * mask
        return (r * r).sum() + dtype(0.1) * ((p["U"] ** 2).sum() + (p["V"] ** 2).sum())

    return loss, {"U": normal(6, 2), "V": normal(5, 2)}, {"lambda": 0.1, "regular": ["U", "V"]}


@case
def cox(normal, rng, dtype):
    X = normal(15, 3)
    event = rng.random(15) < 0.7

    def loss(p):
        eta = X @ p["beta"]
        total = 0.0
        for k in np.flatnonzero(event):
            total = total + t.logsumexp(eta[k:], 0)[0] - eta[k]
        return total

    return loss, {"beta": normal(3)}, {"batch": 15}


@case
def autoencoder(normal, rng, dtype):
    X = normal(10, 6)

    def loss(p):
        h = t.tanh(X @ p["W"] + p["b"])
        return ((h @ p["W"].T + p["c"] - X) ** 2).mean()

    return loss, {"W": normal(6, 3, scale=0.6), "b": normal(3), "c": normal(6)}, {"batch": 10, "detachable": "W"}


@case
def hinge(normal, rng, dtype):
    X, _, y = data(normal, rng)
    sign = 2 * y - 1

    def loss(p):
        return t.relu(1.0 - sign * (X @ p["w"] + p["b"])).mean() + dtype(0.1) * (p["w"] ** 2).sum()

    return loss, {"w": normal(4), "b": normal()}, {"batch": 24, "lambda": 0.1, "regular": ["w"]}


@case
def lasso(normal, rng, dtype):
    X, y = normal(20, 5), normal(20)

    def loss(p):
        r = X @ p["w"] - y
        return (r * r).mean() + dtype(0.3) * t.absolute(p["w"]).sum()

    return loss, {"w": normal(5)}, {"batch": 20, "lambda1": 0.3, "regular": ["w"]}


@case
def oscillating(normal, rng, dtype):
    return lambda p: (t.sin(p["x"] * dtype(30)) + t.cos(p["x"] ** 2)).sum(), {"x": normal(8)}, {}


@case
def wide_scales(normal, rng, dtype):
    size = np.array([1e4, 1e2, 1.0, 1e-2, 1e-4], dtype)
    return lambda p: t.exp(t.sin(p["x"] / size)).sum(), {"x": size * np.array([1.0, -0.5, 0.7, 2.0, 0.3])}, {}


def large(n):
    def make(normal, rng, dtype):
        curve = (0.5 + rng.random(n)).astype(dtype)
        return lambda p: (t.sin(p["x"]) + curve * p["x"] ** 2).sum(), {"x": normal(n)}, {}

    return make


LARGE = {f"large_{n}": large(n) for n in (10_000, 1_000_000)}
