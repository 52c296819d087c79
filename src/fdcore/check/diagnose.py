"""From a wrong gradient to the probable bug, with the numbers that speak for it.

Labels of the diagnoses:

``"sign"``, ``"factor"``, ``"factor-size"``
                        minus the right gradient; a constant times it; a constant that is the size of some array
``"zero"``              zero throughout: the array is not connected, or forgotten
``"missing-regularization"``, ``"extra-regularization"``
                        the gradient of a penalty is missing, or too much; its weight is recovered
``"transpose"``         transposed, or reshaped in the wrong order
``"permutation"``       shifted, backwards, or entries with each other's values
``"arrays-exchanged"``  the gradient of another array
``"not-reduced"``, ``"wrong-axis"``
                        an axis too many, right when summed; summed or averaged over the wrong axis
``"softmax-sum"``       off by a multiple of softmax in each row: the sum over the other outputs is missing
``"overwritten"``       contributions of repeated indices not added up
``"operation"``         a function of the parameter or of the gradient where none should be: a Jacobian missing or twice
``"offset"``            the same number too much in every entry
``"single-entry"``, ``"single-row"``, ``"single-column"``, ``"single-slice"``, ``"diagonal"``, ``"off-diagonal"``,
``"triangle"``
                        where it is wrong, all else agrees
``"threshold"``         wrong only on one side of a threshold, or clipped
``"sign-entries"``, ``"factor-entries"``
                        some entries have the opposite sign, or one common factor
``"conjugate"``, ``"wirtinger"``
                        of complex parameters: the complex conjugate; another convention, half or twice as large
``"float32"``           differences of the size of single precision
``"non-finite"``        NaN or infinity, all else agrees
``"missing"``           no array where one should be
``"accumulates"``, ``"stale-cache"``
                        adds to what an earlier call left; does not change when the point does
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from fdcore.check.block import Block, Claim
from fdcore.check.places import place, single_precision
from fdcore.check.suspects import SUSPECTS, complex_factor, describe_factor, factor_of, snapped
from fdcore.check.verdict import Diagnosis
from fdcore.tree import Problem, Tree

__all__ = ["LABELS", "diagnose", "known_sizes"]

LABELS: tuple[str, ...] = tuple(re.findall(r'``"([a-z0-9-]+)"``', __doc__ or ""))


def diagnose(
    blocks: list[Block], right: list[str], problems: Iterable[Problem]
) -> tuple[list[Diagnosis], frozenset[str]]:
    """Name what explains the wrong blocks.

    Parameters
    ----------
    blocks : list of Block
        The arrays that are wrong and of which something was measured.
    right : list of str
        Names of the arrays that agree, and could have been seen to be wrong.
    problems : iterable of Problem
        Arrays that are not there or do not fit.

    Returns
    -------
    diagnoses : list of Diagnosis
        The most probable first.
    explained : set of str
        Names of the arrays that a formula explains as a whole; of the others it is only known where they are wrong.
    """
    found = [
        Diagnosis("missing", f"there is no gradient of {p.name or 'anything'}", p.name, {}, "is it connected?", 1.0)
        for p in problems
        if p.leaves and p.kind in ("none", "missing")
    ]
    blocks = [b for b in blocks if b.wrong.any() or b.value is not None]
    every = frozenset(block.name for block in blocks)
    if not blocks:
        return found, every
    common = _common_factor(blocks)
    if common is not None:
        where = (
            "" if not right or len(blocks) == 1 else f", in {_list([b.name for b in blocks])}, the other arrays agree"
        )
        name = blocks[0].name if len(blocks) == 1 else ""
        return [*found, _diagnosis(common, name, where)], every
    groups: list[tuple[Claim, list[str]]] = []
    claims = [(block, next(filter(None, (suspect(block) for suspect in SUSPECTS)), None)) for block in blocks]
    narrow = single_precision([block for block, claim in claims if claim is None])
    for block, formula in claims:
        claim = formula or narrow or place(block)
        if claim is None:
            continue
        group = next(
            (g for g in groups if claim.key is not None and (g[0].label, g[0].key) == (claim.label, claim.key)), None
        )
        if group is None:
            groups.append((claim, [block.name]))
        else:
            group[1].append(block.name)
    for claim, names in groups:
        where = f", in {_list(names)}" + (", the other arrays agree" if right and len(groups) == 1 else "")
        found.append(_diagnosis(claim, names[0] if len(names) == 1 else "", where))
    explained = frozenset(block.name for block, formula in claims if formula is not None)
    return sorted(found, key=lambda d: -d.confidence), every if narrow is not None else explained


def _common_factor(blocks: list[Block]) -> Claim | None:
    """One factor for all of them: scalars, which alone would say nothing, speak for it too."""
    if any(b.value is not None or not np.all(np.isfinite(b.a)) for b in blocks):
        return None
    if all(not b.analytic.any() for b in blocks):
        return Claim("zero", "the analytic gradient is zero throughout", "is it used, or detached?", {}, ("zero",))
    factor, doubt = factor_of(blocks)
    if not math.isfinite(factor) or factor == 0.0:
        return None
    factor, doubt = snapped(factor, doubt, blocks)
    if any(not b.explains(b.analytic / factor, 1e-12 + doubt / abs(factor), None, 1.0 / abs(factor)) for b in blocks):
        return None
    sizes: dict[int, str] = {}
    for block in blocks:
        sizes = {**block.sizes, **sizes}
    if sum(b.x.size for b in blocks) > 1 and sum(b.wrong.sum() for b in blocks) == 1 == sum(b.data for b in blocks):
        return None  # one entry among others: its factor is no explanation
    if len(blocks) == 1 and blocks[0].complete and blocks[0].x.size > 1 and blocks[0].wrong.sum() == 1:
        return None
    return complex_factor(describe_factor(factor, doubt, sizes, sum(b.data for b in blocks)), blocks)


def _diagnosis(claim: Claim, name: str, where: str) -> Diagnosis:
    return Diagnosis(claim.label, claim.message + where, name, claim.evidence, claim.suggestion, claim.confidence)


def _list(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def known_sizes(tree: Tree, *owners: Any) -> dict[int, str]:
    """Sizes that a mean would divide by: of the parameters, and of arrays among the arguments and inside the functions.

    Parameters
    ----------
    tree : Tree
        The parameters.
    *owners
        Functions, callable objects and tuples or mappings of arguments to look into; nothing is called.
    """
    sizes: dict[int, str] = {}
    for owner in owners:
        for name, array in _arrays(owner, "", 3):
            shape = tuple(array.shape)
            for axis, size in enumerate(shape):
                sizes.setdefault(int(size), f"the length of axis {axis} of {name}")
            if len(shape) > 1:
                sizes.setdefault(int(math.prod(shape)), f"the size of {name}")
    for leaf in tree.leaves:
        for axis, size in enumerate(leaf.own_shape):
            sizes.setdefault(size, f"the length of axis {axis} of {leaf.name}")
        sizes.setdefault(leaf.size, f"the size of {leaf.name}")
    sizes.setdefault(tree.size, "the number of parameters")
    return {size: what for size, what in sizes.items() if size > 1}


def _arrays(owner: Any, name: str, depth: int) -> Iterable[tuple[str, Any]]:
    if isinstance(owner, np.ndarray) or (hasattr(owner, "shape") and isinstance(getattr(owner, "shape", None), tuple)):
        if owner.shape and all(isinstance(size, int) for size in owner.shape):
            yield name or "an argument", owner
        return
    if depth == 0:
        return
    children: Mapping[Any, Any] = {}
    if isinstance(owner, Mapping):
        children = owner
    elif isinstance(owner, (list, tuple)):
        children = dict(enumerate(owner[:16]))
    elif inspect.isfunction(owner):
        children = _closure(owner)
    elif inspect.ismethod(owner):
        children = vars(owner.__self__) if hasattr(owner.__self__, "__dict__") else {}
    elif hasattr(owner, "__dict__") and not inspect.ismodule(owner) and not inspect.isclass(owner):
        children = vars(owner)
    for key, child in list(children.items())[:64]:
        inner = f"{name}.{key}" if name and isinstance(owner, Mapping) else str(key)
        yield from _arrays(child, inner, depth - 1)


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        found = inspect.getclosurevars(function)
        defaults = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    own = {p.name: p.default for p in defaults if p.default is not inspect.Parameter.empty}
    simple = {k: v for k, v in found.globals.items() if not inspect.isroutine(v) and not inspect.isclass(v)}
    return {**simple, **found.nonlocals, **own}
