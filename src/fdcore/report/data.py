"""A check as plain data, and back: the JSON report and its schema.

`SCHEMA` in ``check.schema.json`` beside this file is the contract of format version 1: within it keys may be added, and
none is removed or changes its meaning.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

from fdcore.check import Diagnosis, Entry, GradientCheck, Note, Parameter
from fdcore.errors import ArgumentError

__all__ = ["FORMAT", "VERSION", "as_data", "from_data", "plain", "schema"]

FORMAT, VERSION = "fdcore.check", 1


def as_data(check: GradientCheck) -> dict[str, Any]:
    """Everything but the columns as dicts, lists, strings and finite numbers; NaN and infinity are strings.

    Returns
    -------
    dict
        As the JSON schema says that `schema` returns.
    """
    data = {"format": FORMAT, "version": VERSION, **plain(check)}
    for key, chosen in (("wrong", check.wrong), ("unclear", check.unclear)):
        for row, entry in zip(data[key], chosen, strict=True):
            row["name"], row["ratio"] = entry.name, plain(entry.ratio)
    return data


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `GradientCheck.to_json`."""
    text = resources.files(__package__).joinpath("check.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def from_data(data: str | Mapping[str, Any]) -> GradientCheck:
    """Read back what `GradientCheck.to_json` or ``to_dict`` made, to print it or to make a page of it later.

    Parameters
    ----------
    data : str or mapping

    Returns
    -------
    GradientCheck
        Without the columns, which are not in there: its page has no figures.

    Raises
    ------
    ArgumentError
        It is no report of a check, or one of a version that this fdcore does not know.

    Examples
    --------
    >>> import numpy as np
    >>> from fdcore import check_gradient
    >>> check = check_gradient(lambda x: float(x @ x), lambda x: 3 * x, np.array([1.0, 2.0]))
    >>> str(from_data(check.to_json())) == str(check)
    True
    """
    found = json.loads(data) if isinstance(data, str) else data
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        raise ArgumentError(f"data is no report of a gradient check: it should have format {FORMAT!r}")
    if found.get("version") != VERSION:
        raise ArgumentError(f"data has version {found.get('version')!r} of the format; this fdcore reads {VERSION}")
    kinds: dict[str, type] = {
        "parameters": Parameter, "wrong": Entry, "unclear": Entry, "diagnoses": Diagnosis, "notes": Note
    }  # fmt: skip
    values = _own(GradientCheck, found)
    for key, kind in kinds.items():
        values[key] = tuple(kind(**_own(kind, row)) for row in found[key])
    values["relative_errors"] = {key: float(value) for key, value in found["relative_errors"].items()}
    values["columns"] = {key: () for key in ("index", "analytic", "numeric", "error")}
    return GradientCheck(**values)


def _own(kind: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row the dataclass knows; a later fdcore may have written more."""
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in row:
            value = row[field.name]
            # The annotations are strings; a name may well be "nan", a number is written so.
            number, some = field.type == "float", field.type == "tuple[int, ...]"
            values[field.name] = float(value) if number else tuple(value) if some else value
    return values


def plain(value: Any) -> Any:
    """Dataclasses, mappings, tuples and NumPy's numbers as what JSON knows; anything else as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if f.name != "columns"]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(child) for child in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return plain(value.tolist())
    return str(value)
