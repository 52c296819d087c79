"""Patterns of sparse matrices: read them, colour their columns, and find them out by perturbing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore._extras import require
from fdcore.callbacks import recognise
from fdcore.coerce import as_vector, bind, values_of
from fdcore.errors import ArgumentError, ArgumentTypeError, NonFiniteError, ShapeError
from fdcore.fdcore import (
    ORDERS,
    Groups,
    pattern_check,
    pattern_color,
    pattern_color_acyclic,
    pattern_color_star,
    pattern_substitute,
    pattern_transpose,
)
from fdcore.steps import settings

Array = NDArray[np.float64]
Indices = NDArray[np.int32]
Form = tuple[Indices, Indices]

_LIMIT = 2**31 - 2


class Pattern:
    """Where a matrix may be different from zero, compressed by rows or by columns; the other form is made when needed.

    Parameters
    ----------
    shape : (m, n)
    by_rows, by_columns : (indptr, indices)
        One of the two, int32; indices increase within each line.
    template : scipy.sparse matrix or array, optional
        What results are to look like.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        by_rows: Form | None = None,
        by_columns: Form | None = None,
        template: Any = None,
    ) -> None:
        self.shape = (int(shape[0]), int(shape[1]))
        self.template = template
        m, n = self.shape
        self.is_by_columns = by_columns is not None
        given, lines, width = (by_columns, n, m) if by_columns is not None else (by_rows, m, n)
        if given is None or max(self.shape) > _LIMIT or len(given[0]) != lines + 1:
            raise ShapeError(f"a pattern of shape {shape} cannot be read; rows and columns must be below 2**31 - 1")
        pattern_check(*given, width)
        for array in given:
            array.flags.writeable = False
        self._given = given

    def __repr__(self) -> str:
        return f"<{self.shape[0]} x {self.shape[1]} pattern with {self.nnz} entries>"

    @property
    def nnz(self) -> int:
        """Stored entries."""
        return len(self._given[1])

    @cached_property
    def _other(self) -> Form:
        other = pattern_transpose(*self._given, self.shape[0 if self.is_by_columns else 1])
        for array in other:
            array.flags.writeable = False
        return other

    @property
    def rows(self) -> Form:
        """``(indptr, indices)`` of the CSR form."""
        return self._other if self.is_by_columns else self._given

    @property
    def columns(self) -> Form:
        """``(indptr, indices)`` of the CSC form."""
        return self._given if self.is_by_columns else self._other

    @classmethod
    def of(cls, pattern: Any) -> Pattern:
        """Read a pattern.

        Parameters
        ----------
        pattern : scipy.sparse matrix or array, (m, n) array_like, (rows, columns, (m, n)), or Pattern
            Stored entries of a sparse matrix count whatever their value; entries of a dense one that are not 0 or
            False; or pairs of indices and the shape.
        """
        if isinstance(pattern, cls):
            return pattern
        if hasattr(pattern, "tocsr") and hasattr(pattern, "nnz"):
            return cls._of_scipy(pattern)
        if isinstance(pattern, tuple) and len(pattern) == 3 and np.ndim(pattern[2]) == 1:
            return cls._of_pairs(*pattern)
        try:
            mask = np.asarray(pattern)
        except ValueError:
            mask = np.empty(0, dtype=object)
        if mask.ndim != 2 or mask.dtype.kind not in "biuf":
            raise ArgumentTypeError(
                "a pattern must be a scipy.sparse matrix, a dense (m, n) mask, or (rows, columns, (m, n)); "
                f"not {type(pattern).__name__}"
            )
        rows, columns = np.nonzero(mask)
        start = np.zeros(mask.shape[0] + 1, dtype=np.int32)
        np.cumsum(np.bincount(rows, minlength=mask.shape[0]), out=start[1:])
        return cls((mask.shape[0], mask.shape[1]), by_rows=(start, columns.astype(np.int32)))

    @classmethod
    def _of_scipy(cls, matrix: Any) -> Pattern:
        by_columns = matrix.format == "csc"
        given = matrix if by_columns else matrix.tocsr()
        if given.nnz > _LIMIT:
            raise ShapeError(f"the pattern has {given.nnz} entries; at most {_LIMIT} can be handled")
        if not given.has_canonical_format:
            given = given.copy()
            given.sum_duplicates()
        # Copies: a caller may change the matrix in place.
        form = (np.array(given.indptr, dtype=np.int32), np.array(given.indices[: given.nnz], dtype=np.int32))
        if by_columns:
            return cls(given.shape, by_columns=form, template=given)
        return cls(given.shape, by_rows=form, template=given)

    @classmethod
    def _of_pairs(cls, rows: ArrayLike, columns: ArrayLike, shape: tuple[int, int]) -> Pattern:
        i, j = np.asarray(rows), np.asarray(columns)
        m, n = (int(size) for size in shape)
        if i.shape != j.shape or i.ndim != 1 or i.dtype.kind not in "iu" or j.dtype.kind not in "iu":
            raise ShapeError(f"rows and columns must be int vectors of one length; they are {i.shape} and {j.shape}")
        if i.size and (i.min() < 0 or j.min() < 0 or i.max() >= m or j.max() >= n):
            raise ArgumentError(f"rows and columns must lie within 0 .. {m - 1} and 0 .. {n - 1}")
        # One number for each pair, so that sorting finds the duplicates.
        i, j = np.divmod(np.unique(i.astype(np.int64) * n + j), max(n, 1))
        start = np.zeros(m + 1, dtype=np.int32)
        np.cumsum(np.bincount(i, minlength=m), out=start[1:])
        return cls((m, n), by_rows=(start, j.astype(np.int32)))

    def entries(self) -> tuple[Indices, Indices]:
        """Row and column of each stored entry, in the order of the values of `matrix`."""
        start, index = self._given
        line = np.repeat(np.arange(start.size - 1, dtype=np.int32), np.diff(start))
        return (index, line) if self.is_by_columns else (line, index)

    def part(self, entries: NDArray[Any]) -> Pattern:
        """Give a pattern of some of the entries, in the same form; `entries` are increasing positions."""
        start, index = self._given
        kept = np.searchsorted(entries, start).astype(np.int32), index[entries]
        if self.is_by_columns:
            return Pattern(self.shape, by_columns=kept)
        return Pattern(self.shape, by_rows=kept)

    def color(self, order: str = "best") -> tuple[Indices, int]:
        """Colours of the columns, and how many there are; see `color_columns`."""
        color, count, _ = pattern_color(*self.columns, self.shape[0], _order(order))
        return color, count

    def matrix(self) -> Any:
        """Give the pattern as a scipy.sparse object without values, which results are copied from."""
        sparse = require("scipy.sparse", extra="sparse", feature="sparse derivatives")
        by_columns = self.is_by_columns
        start, index = self.columns if by_columns else self.rows
        kinds = (sparse.csc_array, sparse.csc_matrix) if by_columns else (sparse.csr_array, sparse.csr_matrix)
        if type(self.template) in kinds and self.template.shape == self.shape:
            # SciPy's constructor would look at all the indices again.
            made = object.__new__(type(self.template))
            made.__dict__.update(self.template.__dict__, data=np.empty(0))  # results have values of their own
        else:
            kind = kinds[self.template is not None and isinstance(self.template, sparse.spmatrix)]
            made = kind((np.empty(self.nnz), index, start), shape=self.shape)
        made.indices, made.indptr = index, start
        made.has_canonical_format = True
        return made

    def groups(
        self,
        color: NDArray[Any] | None = None,
        order: str = "best",
        shown: Pattern | None = None,
        reverse: Callable[..., Any] | None = None,
    ) -> Groups:
        """Prepare sparse Jacobians with these colours, or those of `order`.

        The results of one such preparation share their index arrays, which are read-only. `reverse` makes of the values
        of this pattern those of `shown`, which results look like.
        """
        m = self.shape[0]
        if color is None:
            color, count = self.color(order)
        else:
            color = self._checked(color)
            count = int(color.max(initial=-1)) + 1
        by_rows = None if self.is_by_columns else self.rows
        return Groups(m, by_rows, self.columns, color, count, *(shown or self).wrapper(), reverse)

    def wrapper(self) -> tuple[Callable[[Array], Any], Callable[[Any], Array]]:
        """Give functions that make a result of a vector of values, and find the values of an earlier one."""
        template = self.matrix()
        state, kind = template.__dict__, type(template)
        wanted = template.indices

        def wrap(values: Array) -> Any:
            # What copy.copy does, without the values.
            made = object.__new__(kind)
            made.__dict__.update(state)
            made.data = values
            return made

        def unwrap(out: Any) -> Array:
            data = getattr(out, "data", None)
            if getattr(out, "indices", None) is not wanted or getattr(data, "dtype", None) != np.float64:
                raise ArgumentError("out must be a result of the same plan: a sparse matrix with its index arrays")
            return np.require(cast("Array", data), requirements=["C", "W"])

        return wrap, unwrap

    def _checked(self, color: NDArray[Any]) -> Indices:
        """Colours that a caller gives, if they fit the pattern."""
        array = np.ascontiguousarray(color, dtype=np.int32)
        if array.shape != (self.shape[1],) or (array.size and array.min() < 0) or array.max(initial=0) > self.shape[1]:
            raise ShapeError(f"colours must be one number from 0 on for each of the {self.shape[1]} columns")
        if (row := conflict(self, array)) is not None:
            raise ArgumentError(f"the colours do not fit the pattern: two columns of one colour meet in row {row}")
        return array


class Symmetric:
    """The pattern of a Hessian, to be found from differences of the gradient with few evaluations.

    A pattern that is not symmetric, such as one triangle, is completed.
    """

    def __init__(self, pattern: Any) -> None:
        given = Pattern.of(pattern)
        m, n = given.shape
        if m != n:
            raise ShapeError(f"the pattern of a Hessian is square, not {given.shape}")
        start, index = given.rows
        if not all(np.array_equal(*both) for both in zip(given.rows, given.columns, strict=True)):
            row = np.repeat(np.arange(n, dtype=np.int32), np.diff(start))
            pairs = np.concatenate([row, index]), np.concatenate([index, row])
            completed = Pattern._of_pairs(*pairs, (n, n))
            completed.template, given = given.template, completed
            start, index = given.rows
        self.pattern = given
        self.row = np.repeat(np.arange(n, dtype=np.int32), np.diff(start))

    def _part(self, entries: NDArray[Any], color: Indices, count: int, values: Callable[[Array], Any]) -> Groups:
        """Groups for some of the entries; `values` makes the result of theirs."""
        n = self.pattern.shape[0]
        part = Pattern((n, n), by_rows=self.pattern.rows).part(entries)

        def unwrap(out: Any) -> Array:
            raise ArgumentError(
                "out cannot be given for a symmetric matrix, whose entries are not evaluated one by one"
            )

        return Groups(n, part.rows, part.columns, color, count, values, unwrap)

    def star(self, order: str = "best") -> tuple[Indices, int, NDArray[np.uint8]]:
        """Colours, how many there are, and which entries are read at their mirror image."""
        found = pattern_color_star(*self.pattern.rows, _order(order))
        if order == "best":
            # Greedy star colourings of dense grids take more than the columns of a Jacobian, whose colours do as well.
            color, count = self.pattern.color()
            if count < found[1]:
                return color, count, np.zeros_like(found[2])
        return found

    def direct(self, order: str = "best") -> Groups:
        """Star colouring: each pair of entries is read off one product."""
        index = self.pattern.rows[1]
        color, count, mirrored = self.star(order)
        mirror = np.argsort(index, kind="stable")  # by columns, which are the rows
        own = (mirrored == 0) & ((mirrored[mirror] != 0) | (index <= self.row))
        source = np.where(own, np.arange(index.size), mirror)
        position = (np.cumsum(own) - 1)[source]
        wrap, _ = self.pattern.wrapper()
        return self._part(np.flatnonzero(own), color, count, lambda values: wrap(values[position]))

    def substituted(self, order: str = "best") -> tuple[Groups, Callable[[Array, Array], Any]]:
        """Acyclic colouring: entries follow one from another.

        Returns groups whose values are quotients, and what makes a matrix of those and the displacements (n,).
        """
        (start, index), n = self.pattern.rows, self.pattern.shape[0]
        color, count, steps, _ = pattern_color_acyclic(start, index, _order(order))
        _, entries = np.unique(self.row.astype(np.int64) * count + color[index], return_index=True)
        entries = np.sort(entries)  # one for each row and colour
        row, column = self.row[entries], index[entries]
        wrap, _ = self.pattern.wrapper()

        def recover(values: Array, displacement: Array) -> Any:
            products = np.zeros((count, n))
            products[color[column], row] = values * displacement[column]
            return wrap(pattern_substitute(start, index, color, steps, products, displacement))

        return self._part(entries, color, count, lambda values: values), recover


def conflict(pattern: Pattern, color: NDArray[Any]) -> int | None:
    """Find the first row in which two columns of one colour meet; None if there is none."""
    start, index = pattern.rows
    row = np.repeat(np.arange(pattern.shape[0], dtype=np.int64), np.diff(start))
    pairs = np.sort(row * (int(color.max(initial=0)) + 1) + color[index])
    twice = np.flatnonzero(pairs[1:] == pairs[:-1])
    return int(pairs[twice[0]] // (int(color.max()) + 1)) if twice.size else None


def _order(order: str) -> int:
    if order not in ORDERS:
        raise ArgumentError(f"order must be one of {', '.join(map(repr, ORDERS))}; not {order!r}")
    return ORDERS.index(order)


def color_columns(pattern: Any, order: str = "best") -> Indices:
    """Colour the columns of a sparse matrix so that two of one colour have no row in common.

    All columns of a colour can be perturbed by one evaluation: f is then evaluated as many times (one-sided
    differences) as there are colours, and no colouring has fewer than the longest row has entries.

    Parameters
    ----------
    pattern : scipy.sparse matrix or array, (m, n) array_like, or (rows, columns, (m, n))
        Which entries may be different from zero. Stored entries of a sparse matrix count whatever their value.
    order : str, default "best"
        In which order columns get the least colour that is free: "natural", "largest-first", "smallest-last",
        "incidence-degree" or "saturation". "best" tries all of them, recolours by classes, keeps the best, and stops
        as soon as the lower bound is reached.

    Returns
    -------
    (n,) ndarray of int32
        Colour of each column, from 0 on. A column without entries has colour 0.

    Notes
    -----
    No evaluations. Time is proportional to the entries for "natural" and up to 64 colours, else to the sum over rows of
    squared entries. For the rows of a matrix, pass its transpose. Usable as ``sparsity=(pattern, colours)`` here and in
    SciPy.

    References
    ----------
    .. [1] A. H. Gebremedhin, F. Manne, A. Pothen, "What color is your Jacobian? Graph coloring for computing
       derivatives", SIAM Review 47 (2005).

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> tridiagonal = np.tri(6, 6, 1) * np.tri(6, 6, 1).T
    >>> fd.color_columns(tridiagonal)
    array([0, 1, 2, 0, 1, 2], dtype=int32)
    """
    return Pattern.of(pattern).color(order)[0]


def groups_of(sparsity: Any, order: str) -> Groups:
    """Read a `sparsity` argument: a pattern, or a pattern with the colours of its columns."""
    if isinstance(sparsity, Groups):
        return sparsity
    if isinstance(sparsity, str):
        raise ArgumentError(f"sparsity must be 'detect' or a pattern, not {sparsity!r}")
    if isinstance(sparsity, tuple) and len(sparsity) == 2:
        structure, color = sparsity
        return Pattern.of(structure).groups(np.asarray(color))
    return Pattern.of(sparsity).groups(order=order)


# ---- detection -------------------------------------------------------------------------------------------------------

_BRANCH = 4  # parts that a block of columns is divided into
_RETRIES = 5  # how often a probe that gives NaN is repeated, each time with an eighth of the displacement


def detect_sparsity(
    f: Any,
    x: ArrayLike,
    *,
    points: int = 3,
    scale: ArrayLike | None = None,
    bounds: Any = None,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    seed: int = 0,
) -> Any:
    """Find out which entries of the Jacobian of f may be different from zero, by perturbing.

    Blocks of columns that touch no row in common are perturbed by one evaluation, and what changes tells which of them
    touches which row; then the blocks are divided, down to single columns.

    Parameters
    ----------
    f : callable or native callback
        ``f(x, *args, **kwargs) -> (m,)`` for x of shape (n,).
    x : (n,) array_like
        Where. Never changed.
    points : int, default 3
        Random points near x at which everything is probed; what changes at any of them counts.
    scale : float or (n,) array_like, optional
        Size of displacements; by default ``0.01 * max(1, abs(x))``.
    bounds : (lower, upper), optional
        f is evaluated within these only.
    args, kwargs
        What f gets after x.
    seed : int, default 0
        Of the random numbers: the result is reproducible.

    Returns
    -------
    (m, n) scipy.sparse.csr_array of bool
        True where a dependence was seen.

    Raises
    ------
    ArgumentError
        f gives different values for the same x, so that changes mean nothing.
    NonFiniteError
        f(x) is NaN or inf.

    Notes
    -----
    Cost: about ``8 * points * c * log4(n)`` evaluations where blocks need c colours (3 for banded matrices), and never
    more than about ``1.4 * points * n``.

    A true in the result is certain, but for rows that became NaN at every displacement, which count as dependent. A
    false may be wrong. f_i changes, bit by bit, when x_j is moved by h wherever ``abs(df_i/dx_j) * h`` is above
    ``2**-53 * abs(f_i)``, so a dependence is missed if at all the points it is weaker than that, or switched off (a
    branch not taken, a factor that is 0). If it is switched on in a share q of the neighbourhood, it is missed with
    probability ``(1 - q)**points``. Where branches matter, detect at several x and combine, or give the pattern.

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> fd.detect_sparsity(lambda x: np.diff(x**2), np.ones(5)).toarray().astype(int)
    array([[1, 1, 0, 0, 0],
           [0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0],
           [0, 0, 0, 1, 1]])
    """
    native = recognise(f)
    given = bind(f, (args, kwargs or {})) if native is None and (args or kwargs) else f
    if native is None and not callable(f):
        raise ArgumentTypeError(f"f must be callable or a native callback, not {type(f).__name__}")

    def evaluate(point: Array) -> Array:
        if native is not None:
            return np.atleast_1d(native(point))
        return values_of(given(point), -1, -1, False)[0].reshape(-1)

    pattern, _ = detect(evaluate, as_vector(x), points, scale, bounds, seed)
    found = pattern.matrix()
    found.data = np.ones(found.nnz, dtype=bool)  # in place of values that were never set
    return found


def detect(
    evaluate: Callable[[Array], Array],
    x: Array,
    points: int = 3,
    scale: ArrayLike | None = None,
    bounds: Any = None,
    seed: int = 0,
) -> tuple[Pattern, int]:
    """Find the pattern of ``evaluate``, which gets a fresh array each time; and how many evaluations it took."""
    prober = _Prober(evaluate, x, points, scale, bounds, seed)
    m, n = prober.m, x.size
    edges = np.array([0, n])
    # Blocks of columns by row, and rows by block: at first every row with the one block there is.
    row, block = np.arange(m), np.zeros(m, dtype=np.int64)
    while edges.size - 1 < n:
        blocks = edges.size - 1
        coarse = Pattern._of_pairs(row, block, (m, blocks))
        color, colors = coarse.color("natural")
        sizes = np.diff(edges)
        if 4 * colors * min(_BRANCH, int(sizes.max())) >= n:  # dense: one column after the other soon is as cheap
            parts, edges = sizes, np.arange(n + 1)
        else:
            parts = np.minimum(_BRANCH, sizes)
            edges = _divided(edges, parts)
        first = np.concatenate([[0], np.cumsum(parts)])  # number of each block's first part
        row, block = _refine(prober, coarse, color, colors, first, edges)
    return Pattern._of_pairs(row, block, (m, n)), prober.nfev


def _divided(edges: NDArray[Any], parts: NDArray[Any]) -> NDArray[Any]:
    """Divide each interval into so many parts, as equal as can be."""
    offset = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    start, size = np.repeat(edges[:-1], parts), np.repeat(np.diff(edges), parts)
    return np.append(start + offset * size // np.repeat(parts, parts), edges[-1])


def _refine(
    prober: _Prober, coarse: Pattern, color: Indices, colors: int, first: NDArray[Any], edges: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Find which parts of its blocks each row depends on: pairs (row, part)."""
    start, index = coarse.rows
    row_of, parent = np.repeat(np.arange(coarse.shape[0]), np.diff(start)), index
    column_part = np.repeat(np.arange(edges.size - 1), np.diff(edges))
    found_rows, found_parts = [], []
    for c in range(colors):
        parents = np.flatnonzero(color == c)
        chosen = color[parent] == c
        owner = np.full(coarse.shape[0], -1)
        owner[row_of[chosen]] = parent[chosen]
        parts = np.diff(first)[parents]
        for s in range(int(parts.max())):
            probed = first[parents[parts > s]] + s
            moved = np.zeros(edges.size - 1, dtype=bool)
            moved[probed] = True
            changed = np.flatnonzero(prober.changed(moved[column_part]))
            owned = changed[owner[changed] >= 0]
            found_rows.append(owned)
            found_parts.append(first[owner[owned]] + s)
            # Not seen to depend on any of these blocks until now: it may be any of them; the next division tells.
            stray = changed[owner[changed] < 0]
            found_rows.append(np.repeat(stray, probed.size))
            found_parts.append(np.tile(probed, stray.size))
    return np.concatenate(found_rows), np.concatenate(found_parts)


class _Prober:
    """f at points near x, and what changes when some components move."""

    def __init__(
        self, evaluate: Callable[[Array], Array], x: Array, points: int, scale: Any, bounds: Any, seed: int
    ) -> None:
        if points < 1:
            raise ArgumentError(f"points must be at least 1, not {points!r}")
        self.evaluate, self.nfev = evaluate, 0
        random = np.random.default_rng(seed)
        center = self.at(x.copy())
        self.m = center.size
        if not np.isfinite(center).all():
            raise NonFiniteError("f(x) is NaN or inf, so its pattern cannot be detected there; choose another x")
        if not np.array_equal(center, self.at(x.copy())):
            raise ArgumentError("f gives different values for the same x; changes do not show its sparsity")
        limits = settings(abs_step=scale, bounds=bounds) or {}
        size = np.broadcast_to(limits.get("abs_step", 0.01 * np.maximum(1.0, np.abs(x))), x.shape)
        lower, upper = (
            np.broadcast_to(limits.get(name, np.asarray(default)), x.shape)
            for name, default in (("lower", -np.inf), ("upper", np.inf))
        )
        self.cases = [self._case(x, size, lower, upper, random) for _ in range(points)]

    def at(self, point: Array) -> Array:
        self.nfev += 1
        return self.evaluate(point)

    def _case(self, x: Array, size: Array, lower: Array, upper: Array, random: np.random.Generator) -> Any:
        """A point near x where f is finite, the values there, and a displacement of each component."""
        for retry in range(_RETRIES + 1):
            reach = size / 8.0**retry
            base = np.clip(x + random.uniform(-1, 1, x.size) * reach, lower, upper)
            value = self.at(base.copy())
            if np.isfinite(value).all():
                break
        else:
            base, value = x, self.at(x.copy())
        # To the side with more room, and away from each other's size, lest effects cancel.
        up, down = np.minimum(upper - base, reach), np.minimum(base - lower, reach)
        sign = np.where(up == down, random.choice([-1.0, 1.0], x.size), np.where(up > down, 1.0, -1.0))
        return base, value, sign * np.maximum(up, down) * random.uniform(0.5, 1.0, x.size)

    def changed(self, moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Rows that change at any of the points when these components move."""
        rows = np.zeros(self.m, dtype=bool)
        for base, value, displacement in self.cases:
            unclear = np.ones(self.m, dtype=bool)
            for retry in range(_RETRIES + 1):
                got = self.at(np.where(moved, base + displacement / 8.0**retry, base))
                finite = np.isfinite(got)
                rows |= unclear & finite & (got != value)
                unclear &= ~finite
                if not unclear.any():
                    break
            rows |= unclear
        return rows
