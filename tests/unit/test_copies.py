"""Plans are copied and pickled as what they were made of."""

import copy
import pickle

import numpy as np
import pytest

import fdcore as fd

X = np.array([0.5, 1.5, 2.0])


def total(x, c=2.0):
    return float(np.sum(x**3) * c)


def pairs(x):
    return x[:-1] * x[1:] ** 2


PLANS = {
    "gradient": lambda: fd.Gradient(total, kwargs={"c": 3.0}, accuracy=4),
    "bounded": lambda: fd.Gradient(total, args=(4.0,), bounds=(0.5, [1.5, 2.0, 3.0]), rel_step=1e-5),
    "adaptive": lambda: fd.Gradient(total, method="adaptive"),
    "selector": lambda: fd.Gradient(total, step=fd.selectors.CurtisReid()),
    "jacobian": lambda: fd.Jacobian(pairs, method="forward"),
    "sparse": lambda: fd.Jacobian(pairs, sparsity=np.array([[1, 1, 0], [0, 1, 1]])),
    "detected": lambda: fd.Jacobian(pairs, sparsity="detect"),
    "hessian": lambda: fd.Hessian(total, accuracy=4),
    "model": lambda: fd.Gradient(fd.models.LinearRegression(np.eye(3), [1.0, 2.0, 3.0], intercept=False)),
}


def dense(value):
    return value if isinstance(value, np.ndarray) else value.toarray()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda plan: pickle.loads(pickle.dumps(plan))])
@pytest.mark.parametrize("name", PLANS)
def test_a_copy_gives_the_same(name, again):
    plan = PLANS[name]()
    first = plan(X)
    other = again(plan)
    assert type(other) is type(plan)
    assert other is not plan
    assert np.array_equal(dense(other(X)), dense(first))


def test_what_cannot_be_pickled_says_so():
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(fd.Gradient(lambda x: float(x @ x)))
    native = fd.models.LinearRegression(np.eye(3), [1.0, 2.0, 3.0]).__fdcore_native__()
    with pytest.raises(TypeError, match="address of this process"):
        pickle.dumps(fd.Gradient(native))
