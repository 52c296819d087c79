"""Trees of parameters: nested dicts, lists, tuples and dataclasses of arrays, and the flat vector that stands for them.

A *leaf* is an array of real numbers (or one number, or a plain list of numbers). Everything else that a container
holds and that is no number (``None``, strings, booleans, functions) is kept as it is and has no derivative.
"""

from __future__ import annotations

import copy
import dataclasses
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import ArgumentTypeError, ShapeError

__all__ = ["Leaf", "Problem", "Tree", "flatten"]

Vector = NDArray[np.float64]


class Leaf(NamedTuple):
    """One array of a tree and where it lies in the flat vector.

    A complex array is one of pairs: its `shape` has one more axis, of length 2, for real and imaginary part, and its
    `dtype` is that of the parts.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int
    dtype: np.dtype[Any]
    paired: bool = False

    @property
    def size(self) -> int:
        """Number of entries; a complex one counts as two."""
        return self.stop - self.start

    @property
    def own_shape(self) -> tuple[int, ...]:
        """The shape that the array came with."""
        return self.shape[:-1] if self.paired else self.shape


class Problem(NamedTuple):
    """What is wrong with one leaf of a tree that should have the structure of another; see `Tree.collect`."""

    kind: str  # "missing", "none", "shape", "type", "extra"
    name: str
    message: str
    leaves: tuple[int, ...] = ()  # positions of the leaves that could not be read because of it
    value: Any = None  # what was there instead


class Tree:
    """The structure of a tree of arrays: what `flatten` found, and the way back from a vector.

    Attributes
    ----------
    leaves : tuple of Leaf
        The arrays, in the order in which they lie in the vector.
    size : int
        Length of the vector.
    """

    def __init__(self, root: _Node, leaves: tuple[Leaf, ...]) -> None:
        self._root = root
        self.leaves = leaves
        self.size = leaves[-1].stop if leaves else 0

    def __repr__(self) -> str:
        inner = ", ".join(f"{leaf.name}: {leaf.shape}" for leaf in self.leaves[:8])
        return f"Tree({inner}{', ...' if len(self.leaves) > 8 else ''})"

    @property
    def is_array(self) -> bool:
        """Whether the tree is one plain array or number."""
        return isinstance(self._root, _Array)

    def unflatten(self, vector: Vector, *, own_dtype: bool = False) -> Any:
        """Build the tree whose leaves are views of `vector`.

        Parameters
        ----------
        vector : (size,) array of float64
            The numbers.
        own_dtype : bool
            Give each leaf the dtype it came with (a copy where that is not float64) instead of a view.

        Returns
        -------
        tree
            Containers are new, those of the same type as the original ones; a number or list of numbers becomes an
            array.
        """
        if vector.shape != (self.size,):
            raise ShapeError(f"the tree has {self.size} numbers, the vector has shape {vector.shape}")
        leaves = [vector[leaf.start : leaf.stop].reshape(leaf.shape) for leaf in self.leaves]
        if own_dtype:
            leaves = [a.astype(leaf.dtype, copy=False) for a, leaf in zip(leaves, self.leaves, strict=True)]
        leaves = [unpaired(a) if leaf.paired else a for a, leaf in zip(leaves, self.leaves, strict=True)]
        return self._root.build(leaves)

    def leaf_of(self, index: int) -> int:
        """Position in `leaves` of the leaf that holds entry `index` of the vector."""
        if not 0 <= index < self.size:
            raise IndexError(f"entry {index} of a tree with {self.size} numbers")
        low, high = 0, len(self.leaves)
        while low < high:
            mid = (low + high) // 2
            if self.leaves[mid].stop <= index:
                low = mid + 1
            else:
                high = mid
        return low

    def index(self, index: int) -> tuple[int, ...]:
        """Multi-index, inside its own leaf, of entry `index` of the vector."""
        leaf = self.leaves[self.leaf_of(index)]
        return tuple(int(k) for k in np.unravel_index(index - leaf.start, leaf.shape))

    def name(self, index: int) -> str:
        """Name of entry `index` of the vector, such as ``"layer1.W[3, 7]"``."""
        return entry_name(self.leaves[self.leaf_of(index)].name, *self.place(index))

    def place(self, index: int) -> tuple[tuple[int, ...], str]:
        """Multi-index, and "re" or "im" where the leaf is complex."""
        inside = self.index(index)
        if not self.leaves[self.leaf_of(index)].paired:
            return inside, ""
        return inside[:-1], ("re", "im")[inside[-1]]

    def collect(self, other: Any) -> tuple[Vector, list[Problem]]:
        """Read a tree that should have this structure, such as a gradient, and say where it has not.

        Parameters
        ----------
        other : tree
            Lists may stand for tuples and arrays, and any container for another one of the same length or keys.

        Returns
        -------
        vector : (size,) array of float64
            A fresh copy of its numbers; NaN wherever a leaf could not be used.
        problems : list of Problem
            Empty when every leaf was there with the shape it should have.
        """
        vector = np.full(self.size, np.nan)
        problems: list[Problem] = []
        self._root.read(other, vector, self.leaves, problems)
        return vector, problems

    def pick(self, other: Any) -> list[Any]:
        """Whatever a tree of this structure has in the place of each leaf; None where it has nothing."""
        found: list[Any] = [None] * len(self.leaves)
        self._root.pick(other, found)
        return found

    def assemble(self, arrays: Sequence[Any]) -> Any:
        """Build a tree with one thing in the place of each leaf."""
        return self._root.build(arrays)

    def dtypes(self, other: Any) -> list[np.dtype[Any] | None]:
        """The dtype of each leaf of a tree of this structure (None where there is no such leaf)."""
        arrays = [
            None if part is None else paired(part) if leaf.paired else as_numbers(part)
            for leaf, part in zip(self.leaves, self.pick(other), strict=True)
        ]
        return [None if array is None else array.dtype for array in arrays]


def flatten(tree: Any, *, complex_leaves: bool = False) -> tuple[Vector, Tree]:
    """Turn a tree of arrays into one flat float64 vector and the way back.

    Parameters
    ----------
    tree : array, number, or nested dict / list / tuple / namedtuple / dataclass of them
        A plain array (or number, or list of numbers) is a tree with one leaf named ``"x"``.
    complex_leaves : bool
        Take complex arrays too, as pairs of numbers; see `Leaf`.

    Returns
    -------
    vector : (n,) array of float64
        A fresh copy of all numbers, leaf after leaf, each in C order.
    tree : Tree
        The structure; ``tree.unflatten(vector)`` builds it again.

    Raises
    ------
    ArgumentTypeError
        An array holds objects, or is complex where these are not taken, or there is no number in the tree.

    Examples
    --------
    >>> vector, tree = flatten({"W": [[1.0, 2.0], [3.0, 4.0]], "b": 5.0})
    >>> vector
    array([1., 2., 3., 4., 5.])
    >>> tree.name(3), tree.name(4)
    ('W[1, 1]', 'b')
    >>> tree.unflatten(2 * vector)["b"]
    array(10.)
    """
    arrays: list[NDArray[Any]] = []
    leaves: list[Leaf] = []
    root = _parse(tree, "", arrays, leaves, complex_leaves)
    if not leaves:
        raise ArgumentTypeError(f"expected an array or a tree of arrays, got {type(tree).__name__} without any number")
    vector = np.empty(leaves[-1].stop)
    for leaf, array in zip(leaves, arrays, strict=True):
        vector[leaf.start : leaf.stop] = array.reshape(-1)
    return vector, Tree(root, tuple(leaves))


def entry_name(name: str, index: tuple[int, ...], part: str = "") -> str:
    """Name one entry of an array: ``W[3, 7]``, or ``z[3].im``; a 0-d array has no index."""
    return (f"{name}[{', '.join(map(str, index))}]" if index else name) + (f".{part}" if part else "")


def paired(value: Any) -> NDArray[Any] | None:
    """The array of pairs (real part, imaginary part) that complex or real numbers are; None for anything else."""
    array = as_numbers(value)
    if array is None:
        value = value.detach() if hasattr(value, "detach") else value
        if isinstance(value, (bool, str, bytes)) or value is None or callable(value):
            return None
        array = np.asarray(value.resolve_conj() if hasattr(value, "resolve_conj") else value)
        if array.dtype.kind != "c":
            return None
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], axis=-1)
    return np.stack([array, np.zeros_like(array)], axis=-1)


def unpaired(pairs: NDArray[Any]) -> NDArray[Any]:
    """The complex array that an array of pairs is: a view where its memory allows it."""
    kind = np.result_type(pairs.dtype, np.complex64) if pairs.dtype.itemsize < 8 else np.dtype(np.complex128)
    pairs = np.ascontiguousarray(pairs, dtype=np.float32 if kind == np.complex64 else np.float64)
    return pairs.reshape(-1).view(kind).reshape(pairs.shape[:-1])


class _Node:
    """A node of the structure: builds a tree from arrays, and reads arrays from a tree."""

    def build(self, arrays: Sequence[Any]) -> Any:
        raise NotImplementedError

    def read(self, other: Any, vector: Vector, leaves: tuple[Leaf, ...], problems: list[Problem]) -> None:
        raise NotImplementedError

    def pick(self, other: Any, found: list[Any]) -> None:
        raise NotImplementedError


class _Array(_Node):
    def __init__(self, position: int) -> None:
        self.position = position

    def build(self, arrays: Sequence[Any]) -> Any:
        return arrays[self.position]

    def read(self, other: Any, vector: Vector, leaves: tuple[Leaf, ...], problems: list[Problem]) -> None:
        leaf = leaves[self.position]
        if other is None:
            message = f"{leaf.name}: None instead of an array of shape {leaf.own_shape}"
            problems.append(Problem("none", leaf.name, message, (self.position,)))
            return
        try:
            array = paired(other) if leaf.paired else as_numbers(other)
        except (TypeError, ValueError):
            array = None
        if array is None:
            got = "complex numbers" if np.iscomplexobj(other) else type(other).__name__
            message = f"{leaf.name}: {got} instead of an array of numbers"
            problems.append(Problem("type", leaf.name, message, (self.position,), other))
            return
        if array.shape != leaf.shape:
            there = array.shape[:-1] if leaf.paired else array.shape
            message = f"{leaf.name}: shape {there}, but the parameter has {leaf.own_shape}"
            # An axis of length one more or less is a matter of taste; anything else is not the same array.
            if _squeezed(array.shape) != _squeezed(leaf.shape):
                problems.append(Problem("shape", leaf.name, message, (self.position,), array))
                return
            problems.append(Problem("shape", leaf.name, message, (), array))
        vector[leaf.start : leaf.stop] = array.reshape(-1)

    def pick(self, other: Any, found: list[Any]) -> None:
        found[self.position] = other


class _Static(_Node):
    def __init__(self, value: Any) -> None:
        self.value = value

    def build(self, arrays: Sequence[Any]) -> Any:
        return self.value

    def read(self, other: Any, vector: Vector, leaves: tuple[Leaf, ...], problems: list[Problem]) -> None:
        pass

    def pick(self, other: Any, found: list[Any]) -> None:
        pass


class _Container(_Node):
    """A dict, list, tuple, namedtuple or dataclass; `template` is the original one."""

    def __init__(self, template: Any, name: str, items: dict[Any, _Node]) -> None:
        self.template = template
        self.name = name
        self.items = items

    def build(self, arrays: Sequence[Any]) -> Any:
        values = {key: node.build(arrays) for key, node in self.items.items()}
        template = self.template
        if isinstance(template, dict) and type(template) is dict:
            return values
        if isinstance(template, tuple):
            if hasattr(template, "_fields"):
                return type(template)(*values.values())
            return tuple(values.values())
        if isinstance(template, list):
            return list(values.values())
        # A shallow copy keeps what the constructor would not accept (frozen, init=False, default factories).
        built = copy.copy(template)
        if isinstance(template, Mapping):
            try:
                for key, value in values.items():
                    built[key] = value
            except TypeError:
                built = type(template)(values)  # type: ignore[call-arg]
        else:
            for key, value in values.items():
                object.__setattr__(built, key, value)
        return built

    def _children(self, other: Any) -> dict[Any, Any] | None:
        """The children of `other` under the keys of this node, or None if it is no such container."""
        if isinstance(self.template, Mapping):
            return dict(other) if isinstance(other, Mapping) else None
        if isinstance(self.template, (list, tuple)):
            if isinstance(other, Mapping) or isinstance(other, (str, bytes)) or not hasattr(other, "__len__"):
                return None
            if hasattr(other, "_fields") or isinstance(other, (list, tuple)) or np.ndim(other) > 0:
                keys = list(self.items)
                return {(keys[i] if i < len(keys) else i): value for i, value in enumerate(other)}
            return None
        if isinstance(other, Mapping):
            return dict(other)
        return {key: getattr(other, key) for key in self.items if hasattr(other, key)}

    def read(self, other: Any, vector: Vector, leaves: tuple[Leaf, ...], problems: list[Problem]) -> None:
        children = self._children(other)
        here = self.name or "the tree"
        if children is None:
            got = "None" if other is None else f"{type(other).__name__}"
            kind = "none" if other is None else "type"
            message = f"{here}: {got} instead of {type(self.template).__name__}"
            problems.append(Problem(kind, self.name, message, tuple(_positions(self)), other))
            return
        for key, node in self.items.items():
            if key in children:
                node.read(children[key], vector, leaves, problems)
            else:
                for position in _positions(node):
                    name = leaves[position].name
                    problems.append(Problem("missing", name, f"{name}: not there", (position,)))
        for key in children:
            if key not in self.items:
                problems.append(Problem("extra", str(key), f"{here}: has {key!r}, which the parameters have not"))

    def pick(self, other: Any, found: list[Any]) -> None:
        children = self._children(other) or {}
        for key, node in self.items.items():
            if key in children:
                node.pick(children[key], found)


def _positions(node: _Node) -> Iterator[int]:
    if isinstance(node, _Array):
        yield node.position
    elif isinstance(node, _Container):
        for child in node.items.values():
            yield from _positions(child)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k in shape if k != 1)


def as_numbers(value: Any) -> NDArray[Any] | None:
    """The array of real numbers that `value` is, or None where it is something else (a container, a string, a flag).

    Complex numbers are None too: whoever asks has to say what to do with them.
    """
    if isinstance(value, (bool, np.bool_, str, bytes)) or value is None or callable(value):
        return None
    if isinstance(value, (list, tuple)):
        if hasattr(value, "_fields") or not _only_numbers(value):
            return None
    elif not isinstance(value, (np.ndarray, numbers.Number)) and not hasattr(value, "__array__"):
        return None
    if hasattr(value, "detach"):  # a tensor that requires its gradient does not convert by itself
        value = value.detach()
    array = np.asarray(value)
    return array if array.dtype.kind in "fiu" else None


def _only_numbers(value: Sequence[Any]) -> bool:
    """Whether nested lists hold nothing but numbers: [1.0, 2.0] is an array, [W, b] is a list of two."""
    return len(value) > 0 and all(
        (isinstance(item, numbers.Real) and not isinstance(item, (bool, np.bool_)))
        or (isinstance(item, (list, tuple)) and not hasattr(item, "_fields") and _only_numbers(item))
        for item in value
    )


def _parse(value: Any, name: str, arrays: list[NDArray[Any]], leaves: list[Leaf], complex_leaves: bool) -> _Node:
    try:
        array = as_numbers(value)
    except ValueError:  # nested lists of unequal lengths: a list of arrays
        array = None
    if array is not None:
        start = leaves[-1].stop if leaves else 0
        dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
        leaves.append(Leaf(name or "x", array.shape, start, start + array.size, dtype))
        arrays.append(array)
        return _Array(len(leaves) - 1)
    if complex_leaves and _complex(value):
        pairs = np.asarray(paired(value))
        start = leaves[-1].stop if leaves else 0
        dtype = pairs.dtype if pairs.dtype.kind == "f" else np.dtype(np.float64)
        leaves.append(Leaf(name or "x", pairs.shape, start, start + pairs.size, dtype, True))
        arrays.append(pairs)
        return _Array(len(leaves) - 1)
    if isinstance(value, Mapping):
        items = {key: _parse(child, _join(name, key), arrays, leaves, complex_leaves) for key, child in value.items()}
        return _Container(value, name, items)
    if isinstance(value, (list, tuple)):
        fields = getattr(value, "_fields", None)
        keys = fields if fields is not None else range(len(value))
        names = [_join(name, key) if fields is not None else f"{name or 'x'}[{key}]" for key in keys]
        items = {k: _parse(v, n, arrays, leaves, complex_leaves) for k, v, n in zip(keys, value, names, strict=True)}
        return _Container(value, name, items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        items = {key: _parse(getattr(value, key), _join(name, key), arrays, leaves, complex_leaves) for key in fields}
        return _Container(value, name, items)
    if _complex(value):
        raise ArgumentTypeError(
            f"{name or 'x'}: complex numbers are no parameters of a real function here; give the real and the "
            "imaginary part as two arrays"
        )
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        raise ArgumentTypeError(f"{name or 'x'}: an array of objects; give a list of arrays instead")
    return _Static(value)


def _complex(value: Any) -> bool:
    if isinstance(value, list):
        try:
            value = np.asarray(value)
        except (TypeError, ValueError):
            return False
    return isinstance(value, complex) or (isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "c")


def _join(name: str, key: Any) -> str:
    if isinstance(key, str):
        return f"{name}.{key}" if name else key
    return f"{name or 'x'}[{key!r}]"
