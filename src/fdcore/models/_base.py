"""What the models share: named blocks of parameters, the data of a linear predictor, and the way to the kernels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from fdcore.errors import ArgumentError, ArgumentTypeError, FdcoreError, ShapeError

if TYPE_CHECKING:
    from fdcore.fdcore import Native

Array = npt.NDArray[Any]
Params = npt.ArrayLike | Mapping[str, Any]

# The same struct as fdc_regression in kernel/models.h.
_REGRESSION = np.dtype(
    [
        ("rows", np.intp),
        ("cols", np.intp),
        ("X", np.uintp),
        ("y", np.uintp),
        ("largest", np.uintp),
        ("l2", np.float64),
        ("intercept", np.int64),
    ],
    align=True,
)


class Block(NamedTuple):
    """One named array of parameters and where it lies in the flat vector."""

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Model:
    """A loss of named parameters; subclasses give the formulas.

    Parameters come as one flat vector or as a dict of the named arrays; a gradient has the form that its parameters
    had.
    """

    _blocks: tuple[Block, ...]
    _X: Array
    _by_row: tuple[str, ...] = ("_X", "_y")
    _native: Native | None = None

    @property
    def n(self) -> int:
        """Number of parameters."""
        return self._blocks[-1].stop

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameter arrays, in the order of the flat vector."""
        return tuple(block.name for block in self._blocks)

    @property
    def layout(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of each parameter array, in the order of the flat vector."""
        return tuple((block.name, block.shape) for block in self._blocks)

    @property
    def rows(self) -> int:
        """Number of rows of the data."""
        return len(self._X)

    def batch(self, rows: npt.ArrayLike) -> Self:
        """Make the same model of some of the rows: its loss is their mean, and the whole penalty.

        Parameters
        ----------
        rows : array_like of int
            Which rows; one may come twice.

        Returns
        -------
        model
            With copies of the rows.

        Examples
        --------
        >>> from fdcore.models import LinearRegression
        >>> model = LinearRegression([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
        >>> model([0.0, 0.0]), model.batch([0, 2])([0.0, 0.0])
        (11.66666666..., 13.0)
        """
        index = np.asarray(rows)
        if index.ndim != 1 or index.size == 0 or index.dtype.kind not in "iu":
            raise ArgumentError(f"rows must be a list of at least one row number, not {rows!r}")
        part = copy.copy(self)
        part._native = None
        for name in self._by_row:
            setattr(part, name, getattr(self, name)[index])
        return part

    def flatten(self, params: Params) -> Array:
        """Parameters as the flat vector.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like
            A name such as ``layer1.W`` may also be written as nested mappings, ``{"layer1": {"W": ...}}``.

        Returns
        -------
        ndarray of shape (n,)
            float64 (complex128 where `params` are complex). Not a copy if `params` is such an array already.

        Raises
        ------
        ShapeError
            A shape is wrong.
        ArgumentError
            A name is missing or unknown.
        """
        if isinstance(params, Mapping):
            given = dict(_named(params))
            if set(given) != set(self.names):
                raise ArgumentError(f"parameters are named {list(self.names)}, got {sorted(given)}")
            parts = [_numbers(given[block.name], block.name) for block in self._blocks]
            for part, block in zip(parts, self._blocks, strict=True):
                if part.shape != block.shape:
                    raise ShapeError(f"parameter {block.name!r} has shape {block.shape}, got {part.shape}")
            return np.concatenate([part.ravel() for part in parts])
        vector = _numbers(params, "params")
        if vector.shape != (self.n,):
            raise ShapeError(f"params must have shape ({self.n},) for {list(self.names)}, got {vector.shape}")
        return vector

    def unflatten(self, vector: npt.ArrayLike) -> dict[str, Any]:
        """Split a flat vector into the named arrays, as views.

        Parameters
        ----------
        vector : array_like of shape (n,)

        Returns
        -------
        dict of str to ndarray, or to a dict of such
            ``layer1.W`` is the entry ``W`` of the entry ``layer1``.
        """
        tree: dict[str, Any] = {}
        for name, array in self._views(self.flatten(vector)).items():
            *outer, last = name.split(".")
            inner = tree
            for key in outer:
                inner = inner.setdefault(key, {})
            inner[last] = array
        return tree

    def _views(self, flat: Array) -> dict[str, Array]:
        return {block.name: flat[block.start : block.stop].reshape(block.shape) for block in self._blocks}

    def __call__(self, params: Params) -> Any:
        """Loss at `params`.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like

        Returns
        -------
        float
            complex where `params` are complex, so that the complex-step method works.
        """
        return self._loss(self.flatten(params)).item()

    def gradient(self, params: Params) -> Any:
        """Analytic gradient of the loss.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like

        Returns
        -------
        ndarray of shape (n,), or a mapping like `params`
            The form that `params` had.
        """
        flat = self._gradient(self.flatten(params))
        return _like(params, "", self._views(flat)) if isinstance(params, Mapping) else flat

    def __fdcore_native__(self) -> Native:
        """Give the loss as a native callback; fdcore asks for it."""
        if self._native is None:
            self._native = self._make_native()
        return self._native

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_native"}  # addresses do not travel

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def _loss(self, vector: Array) -> Any:
        raise NotImplementedError

    def _gradient(self, vector: Array) -> Array:
        raise NotImplementedError

    def _make_native(self) -> Native:
        raise NotImplementedError


class Regression(Model):
    """A loss of the linear predictor ``z = intercept + X @ coef``."""

    _kernel: str

    def __init__(self, X: npt.ArrayLike, y: npt.ArrayLike, *, intercept: bool, l2: float) -> None:
        self._X = as_matrix(X, "X")
        self._y = as_vector(y, "y", len(self._X))
        if not (np.isfinite(l2) and l2 >= 0.0):
            raise ArgumentError(f"l2 must be finite and >= 0, got {l2!r}")
        self._l2 = float(l2)
        self._first = int(bool(intercept))
        cols = self._X.shape[1]
        if cols + self._first == 0:
            raise ArgumentError("a model needs a column of X or an intercept")
        blocks = [Block("intercept", (), 0, 1)] if intercept else []
        self._blocks = (*blocks, Block("coef", (cols,), self._first, self._first + cols))

    def predictor(self, params: Params) -> Array:
        """Linear predictor of every row.

        Parameters
        ----------
        params : array_like of shape (n,), or mapping of names to array_like

        Returns
        -------
        ndarray of shape (rows,)
        """
        return self._z(self.flatten(params), self._X)

    def _z(self, vector: Array, X: Array) -> Array:
        z: Array = X @ vector[self._first :]
        return z + vector[0] if self._first else z

    def _penalty(self, vector: Array) -> Any:
        coef = vector[self._first :]
        return 0.5 * self._l2 * (coef @ coef) if self._l2 > 0.0 else 0.0

    def _pull_back(self, dz: Array, vector: Array) -> Array:
        """Gradient with respect to the parameters, given the loss's derivative with respect to each z."""
        out = np.empty(self.n, dz.dtype)
        if self._first:
            out[0] = dz.sum()
        out[self._first :] = dz @ self._X
        if self._l2 > 0.0:
            out[self._first :] += self._l2 * vector[self._first :]
        return out

    def _design(self) -> Array:
        """X with a column of ones in front when there is an intercept."""
        return np.hstack([np.ones((len(self._X), self._first)), self._X])

    def _newton(self, weight_of: Callable[[Array], Array], max_iterations: int, reason: str) -> Array:
        """Minimise a convex loss whose second derivative with respect to z_i is ``weight_of(z)[i] / rows``.

        `reason` is why there may be no minimum.
        """
        A = self._design()
        if np.linalg.matrix_rank(A / np.maximum(np.abs(A).max(axis=0), 1e-300)) < self.n and self._l2 == 0.0:
            raise ArgumentError("the columns of the design are linearly dependent: drop some or set l2 > 0")
        penalty = np.full(self.n, self._l2)
        penalty[: self._first] = 0.0
        vector: Array = np.zeros(self.n)
        loss = self._loss(vector)
        for _ in range(max_iterations):
            z = self._z(vector, self._X)
            weight = weight_of(z) / len(z)
            # The Hessian is B.T @ B with these rows: solved by its square root, whose condition is the root of its own.
            B = np.vstack([np.sqrt(weight)[:, np.newaxis] * A, np.diag(np.sqrt(penalty))])
            scale = np.maximum(np.sqrt(np.sum(B * B, axis=0)), np.finfo(np.float64).tiny)
            R = np.linalg.qr(B / scale).R
            if np.abs(np.diag(R)).min() <= 1e-14:
                break
            gradient = self._gradient(vector)
            half = np.linalg.solve(R.T, gradient / scale)
            step = np.linalg.solve(R, half) / scale
            # half @ half is twice the fall that is left; once it cannot show in the loss, this step is the last.
            last = half @ half <= 4.0 * np.finfo(np.float64).eps * abs(loss)
            fraction = 1.0
            while not last and self._loss(vector - fraction * step) > loss and fraction > 1e-6:
                fraction *= 0.5
            vector = vector - fraction * step
            loss = self._loss(vector)
            if last and np.abs(A @ step).max() < 0.1:
                return vector
            if last:  # still going, while the loss does not show it any more: to infinity
                break
        raise FdcoreError(f"no minimum found in {max_iterations} iterations or less: {reason}; set l2 > 0")

    def _make_native(self) -> Native:
        largest = np.maximum(self._X.max(axis=0), -self._X.min(axis=0))
        arrays = (self._X, self._y, largest)
        fields = (*self._X.shape, *(array.ctypes.data for array in arrays), self._l2, self._first)
        return native_loss(self._kernel, self.n, np.array([fields], _REGRESSION), arrays)


def native_loss(kernel: str, n: int, data: Array, arrays: tuple[Array, ...]) -> Native:
    """The kernel's loss of that name, with the struct in `data`, which points into `arrays`."""
    from fdcore.fdcore import Native, model_addresses

    kind = "int (ptrdiff_t, ptrdiff_t, double *, ptrdiff_t, double *, void *)"
    loss, update = model_addresses(kernel)
    return Native(loss, kind, user_data=data.ctypes.data, owner=(data, arrays), n=n, m=1, update=update)


def _named(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings by their dotted names."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _named(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _like(params: Mapping[str, Any], prefix: str, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Arrange arrays by dotted names in the way that params are."""
    return {
        key: _like(value, f"{prefix}{key}.", arrays) if isinstance(value, Mapping) else arrays[f"{prefix}{key}"]
        for key, value in params.items()
    }


def _numbers(value: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64, copy=False)
    if array.dtype.kind == "c":
        return array.astype(np.complex128, copy=False)
    raise ArgumentTypeError(f"{name} must be numbers, got dtype {array.dtype}")


def real_array(value: npt.ArrayLike, name: str) -> Array:
    """Finite float64 values in C order; not a copy if they have that form already."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    array = np.ascontiguousarray(array, np.float64)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ArgumentError(f"{name} must be finite, but {name}{list(where)} is {array[where]}")
    return array


def as_matrix(X: npt.ArrayLike, name: str) -> Array:
    """(rows, cols) float64 in C order, read-only; not a copy if it has that form already. (rows,) is one column."""
    if np.ndim(X) == 1:
        X = np.asarray(X)[:, np.newaxis]
    matrix = real_array(X, name).view()
    if matrix.ndim != 2 or len(matrix) == 0:
        raise ShapeError(f"{name} must have shape (rows, cols) with at least one row, got {matrix.shape}")
    matrix.flags.writeable = False
    return matrix


def as_vector(y: npt.ArrayLike, name: str, rows: int) -> Array:
    """(rows,) float64, read-only; not a copy if it has that form already."""
    vector = real_array(y, name).view()
    if vector.shape != (rows,):
        raise ShapeError(f"{name} must have shape ({rows},), one value for each row of X, got {vector.shape}")
    vector.flags.writeable = False
    return vector
