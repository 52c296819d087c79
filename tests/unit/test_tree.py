"""Trees of arrays: flattening, naming, rebuilding, and reading trees that do not fit."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fdcore.errors import ArgumentTypeError, ShapeError
from fdcore.tree import flatten

Pair = namedtuple("Pair", "W b")


@dataclasses.dataclass(frozen=True)
class Layer:
    W: Any
    b: Any
    activation: str = "relu"
    fan: Any = dataclasses.field(init=False, default=None)


shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
leaf = hnp.arrays(np.float64, shapes, elements=st.floats(-9, 9))
trees = st.recursive(
    leaf,
    lambda child: (
        st.lists(child, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), child, min_size=1)
        | st.builds(Pair, child, child)
        | st.builds(Layer, child, child)
    ),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.shape == b.shape and np.array_equal(a, b)
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Layer):
        return type(a) is type(b) and same(a.W, b.W) and same(a.b, b.b) and a.activation == b.activation
    return bool(a == b)


@given(trees)
def test_round_trip(value):
    vector, tree = flatten(value)
    assert vector.dtype == np.float64
    assert vector.shape == (tree.size,)
    assert same(value, tree.unflatten(vector))
    collected, problems = tree.collect(value)
    assert problems == []
    assert np.array_equal(collected, vector)


@given(trees)
def test_names_are_distinct_and_in_the_order_of_the_vector(value):
    _, tree = flatten(value)
    names = [tree.name(i) for i in range(tree.size)]
    assert len(set(names)) == tree.size
    assert [leaf.start for leaf in tree.leaves[1:]] == [leaf.stop for leaf in tree.leaves[:-1]]


def test_leaves_are_views_of_the_vector_and_the_vector_is_a_copy():
    x = np.arange(6.0).reshape(2, 3)
    vector, tree = flatten({"x": x})
    vector[4] = 40
    assert x[1, 1] == 4
    built = tree.unflatten(vector)
    assert built["x"][1, 1] == 40
    assert np.shares_memory(built["x"], vector)


def test_names():
    _, tree = flatten({"layers": [Layer(np.ones((2, 4)), np.ones(2))], "out": Pair(np.ones(1), 2.0), 3: np.ones(1)})
    assert [leaf.name for leaf in tree.leaves] == ["layers[0].W", "layers[0].b", "out.W", "out.b", "x[3]"]
    assert tree.name(7) == "layers[0].W[1, 3]"
    assert tree.name(11) == "out.b"
    assert tree.leaf_of(10) == 2
    with pytest.raises(IndexError):
        tree.name(13)


def test_empty_leaves_have_no_entries():
    _, tree = flatten([np.ones(0), np.ones(2), np.ones((0, 3)), 1.0])
    assert [tree.leaf_of(i) for i in range(3)] == [1, 1, 3]


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (3.0, ()),
        (np.float32(2), ()),
        ([1, 2, 3], (3,)),
        ([[1.0, 2.0], [3.0, 4.0]], (2, 2)),
        (np.asfortranarray(np.ones((2, 3))), (2, 3)),
        (np.ones((4, 6))[::2, ::3], (2, 2)),
        (np.arange(3), (3,)),
    ],
)
def test_plain_arrays_are_one_leaf_called_x(value, shape):
    vector, tree = flatten(value)
    assert [(leaf.name, leaf.shape) for leaf in tree.leaves] == [("x", shape)]
    assert tree.is_array
    assert np.array_equal(tree.unflatten(vector), value)


def test_what_is_no_number_is_kept():
    value = {"W": np.ones(2), "name": "dense", "mask": np.array([True]), "act": np.tanh, "hole": None, "o": object()}
    vector, tree = flatten(value)
    built = tree.unflatten(vector)
    assert tree.size == 2
    assert all(built[key] is value[key] for key in value if key != "W")


def test_container_types_and_dtypes_survive():
    value = OrderedDict(a=np.ones(2, np.float32), b=(np.ones(1), [1.0]))
    vector, tree = flatten(value)
    assert type(tree.unflatten(vector)) is OrderedDict
    assert tree.unflatten(vector, own_dtype=True)["a"].dtype == np.float32
    assert [str(d) for d in tree.dtypes(value)] == ["float32", "float64", "float64"]


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        ({"W": np.ones((2, 3)), "b": [1, 2]}, []),
        ({"W": np.ones((2, 3)), "b": np.ones((2, 1))}, ["shape"]),
        ({"W": np.ones((3, 2)), "b": np.ones(2)}, ["shape"]),
        ({"W": np.ones((2, 3))}, ["missing"]),
        ({"W": None, "b": np.ones(2)}, ["none"]),
        ({"W": "no", "b": np.ones(2) * 1j}, ["type", "type"]),
        ({"W": np.ones((2, 3)), "b": np.ones(2), "c": 1.0}, ["extra"]),
        (None, ["none"]),
        (np.ones(8), ["type"]),
    ],
)
def test_collect_says_what_does_not_fit(other, kinds):
    _, tree = flatten({"W": np.zeros((2, 3)), "b": np.zeros(2)})
    vector, problems = tree.collect(other)
    assert [problem.kind for problem in problems] == kinds
    assert vector.shape == (8,)
    assert all(problem.name in problem.message for problem in problems)


def test_collect_reads_what_is_left_and_marks_the_rest():
    _, tree = flatten({"W": np.zeros((2, 2)), "b": np.zeros(2)})
    vector, _ = tree.collect({"W": np.ones((1, 2)), "b": np.ones((2, 1))})
    assert np.array_equal(np.isnan(vector), [True] * 4 + [False] * 2)


@pytest.mark.parametrize("value", [np.ones(2) * 1j, np.array([None, 1.0]), None, {}, "x", {"a": "b"}])
def test_what_has_no_real_numbers_is_refused(value):
    with pytest.raises(ArgumentTypeError):
        flatten(value)


def test_a_vector_of_another_length_is_refused():
    _, tree = flatten(np.ones(3))
    with pytest.raises(ShapeError, match="3 numbers"):
        tree.unflatten(np.ones(4))
