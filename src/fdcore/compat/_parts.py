"""Complex arrays as arrays of their parts, for the checks of functions that have them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["conjugated", "from_parts", "to_parts"]


def to_parts(array: Any) -> Any:
    """An array of real numbers; of a complex one with one axis more, for its real and imaginary part."""
    array = np.asarray(array)
    if array.dtype.kind != "c":
        return array
    real = np.ascontiguousarray(array).reshape(array.shape)
    return np.stack([real.real, real.imag], axis=-1)


def from_parts(parts: Any, like: Any) -> Any:
    """The array of the shape and dtype of `like` (anything that has these two) that has these parts."""
    parts, dtype = np.asarray(parts), np.dtype(like.dtype)
    if dtype.kind != "c":
        return parts.reshape(like.shape).astype(dtype, copy=False)
    parts = parts.reshape((*like.shape, 2))
    return (parts[..., 0] + 1j * parts[..., 1]).astype(dtype)


def conjugated(array: Any) -> Any:
    """The conjugate of a complex array; a real one as it is.

    JAX and autograd pair a cotangent w with a tangent u as Re(w u), without a conjugate; the parts of w are the
    gradient by the parts of z only after its conjugation, on the way in and on the way out.
    """
    return np.conj(array) if np.asarray(array).dtype.kind == "c" else array
