"""Sparse Jacobians from both sides: columns by differences of f, dense rows by a product from the left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdcore.errors import ArgumentError, ArgumentTypeError, NonFiniteError, ShapeError
from fdcore.fdcore import Groups
from fdcore.sparsity import Indices, Pattern

Array = NDArray[np.float64]

_TRIALS = 4  # choices of rows that are coloured, of those that the bounds make look best


def color_bidirectional(pattern: Any, order: str = "best") -> tuple[Indices, Indices]:
    """Colour columns and rows of a sparse matrix so that few products, from the right and from the left, show it all.

    A dense row meets every column, so that columns alone need as many colours as it has entries. One product from the
    left shows the whole row instead, and the columns need colours only for what is left.

    Parameters
    ----------
    pattern : scipy.sparse matrix or array, (m, n) array_like, or (rows, columns, (m, n))
        Which entries may be different from zero. Stored entries of a sparse matrix count whatever their value.
    order : str, default "best"
        As for `color_columns`.

    Returns
    -------
    columns : (n,) ndarray of int32
        Colour of each column; -1 where no product from the right is needed.
    rows : (m,) ndarray of int32
        Colour of each row that is shown by products from the left; -1 for rows shown by products from the right.

    Notes
    -----
    Entry (i, j) of a row with ``rows[i] < 0`` is ``(J @ S)[i, columns[j]]``, S being the 0/1 matrix of the columns'
    colours; of another row it is ``(R @ J)[rows[i], j]``, R being that of the rows' colours: no other entry is in the
    sum. (A star bicolouring by whole rows.) The longest rows go to the left side, as many as the bounds of both sides
    say; a few such choices are coloured and the one with fewest colours in all is kept, and the one with columns alone
    among equals. No evaluations. Time: the entries times the logarithm of their number, and a few colourings.

    References
    ----------
    .. [1] A. K. M. S. Hossain, T. Steihaug, "Computing a sparse Jacobian matrix by rows and columns", Optimization
       Methods and Software 10 (1998).
    .. [2] A. H. Gebremedhin, F. Manne, A. Pothen, "What color is your Jacobian? Graph coloring for computing
       derivatives", SIAM Review 47 (2005).

    Examples
    --------
    >>> import numpy as np, fdcore as fd
    >>> arrow = np.eye(6)
    >>> arrow[0] = arrow[:, 0] = 1
    >>> fd.color_columns(arrow)
    array([0, 1, 2, 3, 4, 5], dtype=int32)
    >>> columns, rows = fd.color_bidirectional(arrow)
    >>> print(columns, rows)
    [0 1 1 1 1 1] [ 0 -1 -1 -1 -1 -1]
    """
    whole = Pattern.of(pattern)
    m, n = whole.shape
    best: tuple[int, Indices, Indices] | None = None
    for left in _choices(whole):
        column_color, columns = _colored(_part(whole, ~left), order, n)
        row_color, rows = _colored(_transposed(_part(whole, left)), order, m)
        if best is None or columns + rows < best[0]:
            best = columns + rows, column_color, row_color
    assert best is not None  # the first choice is no row at all
    return best[1], best[2]


def _part(pattern: Pattern, rows: NDArray[np.bool_]) -> Pattern:
    """Give the entries of these rows."""
    return pattern.part(np.flatnonzero(rows[pattern.entries()[0]]))


def _transposed(pattern: Pattern) -> Pattern:
    return Pattern((pattern.shape[1], pattern.shape[0]), by_rows=pattern.columns)


def _colored(pattern: Pattern, order: str, lines: int) -> tuple[Indices, int]:
    """Colours of the columns that have entries, and how many there are; -1 for the others."""
    if not pattern.nnz:
        return np.full(lines, -1, dtype=np.int32), 0
    color, count = pattern.color(order)
    color[np.diff(pattern.columns[0]) == 0] = -1
    return color, count


def _choices(pattern: Pattern) -> list[NDArray[np.bool_]]:
    """Masks of rows to be shown from the left: none, and the longest ones, as many as promise few colours in all.

    With the k longest rows on the left, columns need as many colours as the longest of the rest has entries, at least,
    and rows as many as those k have entries in any one column.
    """
    m, n = pattern.shape
    none = np.zeros(m, dtype=bool)
    length = np.diff(pattern.rows[0])
    by_length = np.argsort(-length, kind="stable")
    rank = np.empty(m, dtype=np.int64)
    rank[by_length] = np.arange(m)
    row, column = pattern.entries()
    if not row.size:
        return [none]
    # Entries column by column, in each by the rank of their row: their number there is the count when it joins.
    sorted_rank = np.sort(column.astype(np.int64) * m + rank[row])
    column, joins = np.divmod(sorted_rank, m)
    start = np.searchsorted(column, np.arange(n))
    most = np.zeros(m + 1, dtype=np.int64)
    np.maximum.at(most, joins + 1, np.arange(column.size) - start[column] + 1)
    bound = np.append(length[by_length], 0) + np.maximum.accumulate(most)
    # Rows of one length go together, and nothing is gained where the bound is not below that of columns alone.
    ends = np.flatnonzero(np.append(length[by_length][1:] != length[by_length][:-1], True)) + 1
    ends = ends[bound[ends] < bound[0]]
    ends = ends[np.argsort(bound[ends], kind="stable")][:_TRIALS]
    return [none, *(rank < end for end in ends)]


class Reverse:
    """The rows that ``vjp(x, v)``, the product of v and the Jacobian, shows: one call for each colour of rows."""

    def __init__(
        self, vjp: Callable[..., Any], pattern: Pattern, color: Indices, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        self.vjp, self.shape, self.args, self.kwargs = vjp, pattern.shape, args, dict(kwargs or {})
        self.row, self.column = pattern.entries()
        of_entry = color[self.row]
        self.exact = of_entry >= 0
        self.rows = [np.flatnonzero(color == c) for c in range(int(color.max(initial=-1)) + 1)]
        self.members = [np.flatnonzero(of_entry == c) for c in range(len(self.rows))]
        self.other = np.flatnonzero(~self.exact)

    def __call__(self, x: Array, args: Any, part: Array, out: Array | None) -> tuple[Array, int]:
        """Complete the values of the other entries at x; also gives how many calls that took."""
        values = np.empty(self.row.size) if out is None else out
        values[self.other] = part
        positional, keywords = args or ((), {})
        m, n = self.shape
        for rows, members in zip(self.rows, self.members, strict=True):
            v = np.zeros(m)
            v[rows] = 1.0
            try:
                given = self.vjp(x.copy(), v, *positional, *self.args, **{**self.kwargs, **keywords})
            except Exception as error:
                error.add_note(f"raised by vjp for the sum of {rows.size} rows, the first of which is {rows[0]}")
                raise
            product = np.asarray(given)
            if product.shape != (n,) or product.dtype.kind not in "fiub":
                raise ShapeError(
                    f"vjp returned {product.dtype} of shape {product.shape}; it must return the {n} real numbers v @ J"
                )
            found = product[self.column[members]]
            if not np.isfinite(found).all():
                j = int(self.column[members][~np.isfinite(found)][0])
                raise NonFiniteError(
                    f"vjp gave {product[j]} for x[{j}] and the sum of {rows.size} rows, the first of which is {rows[0]}"
                )
            values[members] = found
        return values, len(self.rows)


def bidirectional_groups(
    sparsity: Any,
    vjp: Callable[..., Any],
    order: str,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Groups:
    """Read a `sparsity` argument beside a `vjp`: a pattern, or a pattern and the colours of columns and rows."""
    if not callable(vjp):
        raise ArgumentTypeError(f"vjp must be a function of x and v that returns v @ J, not {type(vjp).__name__}")
    if isinstance(sparsity, tuple) and len(sparsity) == 2:
        pattern, given = Pattern.of(sparsity[0]), sparsity[1]
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise ArgumentError(
                "with vjp, give sparsity as a pattern, or as (pattern, (columns, rows)) with the colours of both, as "
                "color_bidirectional returns them"
            )
        column_color, row_color = (np.asarray(colors) for colors in given)
        _check_rows(pattern, row_color)
    else:
        pattern = Pattern.of(sparsity)
        column_color, row_color = color_bidirectional(pattern, order)
    row_color = row_color.astype(np.int32)
    if not (row_color >= 0).any():
        return pattern.groups(np.maximum(column_color, 0))
    part = _part(pattern, row_color < 0)
    reverse = Reverse(vjp, pattern, row_color, tuple(args), kwargs)
    return part.groups(np.maximum(column_color, 0), shown=pattern, reverse=reverse)


def _check_rows(pattern: Pattern, color: NDArray[Any]) -> None:
    """See that no two rows of one colour meet in a column."""
    m, n = pattern.shape
    if color.shape != (m,) or color.dtype.kind not in "iu" or color.max(initial=-1) >= m:
        raise ShapeError(f"colours of rows must be one integer for each of the {m} rows, -1 for those left to f")
    row, column = pattern.entries()
    chosen = color[row] >= 0
    pairs = np.sort(color[row[chosen]].astype(np.int64) * n + column[chosen])
    twice = np.flatnonzero(pairs[1:] == pairs[:-1])
    if twice.size:
        raise ArgumentError(
            f"the colours do not fit the pattern: two rows of one colour meet in column {pairs[twice[0]] % n}"
        )
