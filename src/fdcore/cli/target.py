"""What a command line names: functions as ``module:attribute``, parameters in files. Nothing is ever unpickled."""

from __future__ import annotations

import importlib
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fdcore.errors import FdcoreError


class UsageError(FdcoreError, ValueError):
    """The command line names something that is not there or cannot be used."""


class UserCodeError(FdcoreError, RuntimeError):
    """Code that the command line names raised; the exception itself is the cause."""

    @classmethod
    @contextmanager
    def around(cls, what: str) -> Iterator[None]:
        """Turn what the user's code raises into this error."""
        try:
            yield
        except FdcoreError as error:
            raise UsageError(str(error)) from error
        except (Exception, SystemExit) as error:
            raise cls(f"{what} stopped with {type(error).__name__}: {error}") from error


def load_object(name: str) -> Callable[..., Any]:
    """Import ``module:attribute`` (or ``module:object.attribute``), the current directory included.

    Raises
    ------
    UsageError
        There is no such module or attribute, or it cannot be called.
    UserCodeError
        The module raises when it is imported.
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise UsageError(f"{name!r}: write MODULE:FUNCTION, for example model:loss")
    if module_name.endswith(".py") or os.sep in module_name:
        raise UsageError(f"{name!r}: give the module's name, not its file: {_as_module(module_name)}:{path}")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise UsageError(f"{name!r}: there is no module {error.name!r} here or on Python's path") from None
        raise UserCodeError(f"importing {module_name!r} stopped with {type(error).__name__}: {error}") from error
    except (Exception, SystemExit) as error:
        raise UserCodeError(f"importing {module_name!r} stopped with {type(error).__name__}: {error}") from error
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            own = getattr(found, "__dict__", {}).items()
            offered = ", ".join(key for key, value in own if callable(value) and key[0] != "_")
            hint = f" (it has {offered})" if offered and len(offered) < 200 else ""
            raise UsageError(f"{name!r}: {module_name!r} has no {path!r}{hint}") from None
    if not callable(found):
        raise UsageError(f"{name!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def _as_module(file: str) -> str:
    return os.path.normpath(file).removesuffix(".py").replace(os.sep, ".")


def parse_point(text: str) -> Any:
    """A number, or numbers separated by commas as a vector; None for anything else, such as the name of a file.

    Raises
    ------
    UsageError
        A number is not finite.
    """
    try:
        values = [float(part) for part in text.rstrip(",").split(",")]
    except ValueError:
        return None
    if not np.all(np.isfinite(values)):
        raise UsageError(f"{text}: the point must be finite")
    return np.array(values) if "," in text else values[0]


def load_params(file: str) -> Any:
    """Read parameters from a .npz (a dict of arrays), .npy (an array) or .json (nested lists and objects) file.

    A .npz file whose only array has no name (``np.savez(file, x)``) holds that array.

    Raises
    ------
    UsageError
        There is no such file, it is not what its name says, or holds something other than real numbers.
    """
    path = Path(file)
    readers = {".npz": _read_npz, ".npy": _read_npy, ".json": _read_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{file}: parameters are read from .npz, .npy or .json, or written out as numbers like 1.0,2.5; not from "
            f"{path.suffix or 'no suffix'!r}"
        )
    try:
        params = reader(path)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        if "allow_pickle" in str(error):
            raise UsageError(f"{file}: it holds Python objects; nothing is unpickled, save arrays of numbers") from None
        raise UsageError(f"{file}: not a readable {path.suffix} file: {error}") from None
    _refuse_other_than_numbers(params, "", file)
    return params


def write_text(file: str, text: str) -> None:
    """Write a text file, or say why not.

    Raises
    ------
    UsageError
        It cannot be written.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None


def _read_npz(path: Path) -> Any:
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise ValueError("it is no archive of arrays")
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays["arr_0"] if list(arrays) == ["arr_0"] else arrays


def _read_npy(path: Path) -> Any:
    with path.open("rb") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _read_json(path: Path) -> Any:
    return _from_json(json.loads(path.read_text(encoding="utf-8")))


def _from_json(value: Any) -> Any:
    """Lists of numbers become arrays, as deep as they are rectangular; the rest stays a tree."""
    if isinstance(value, dict):
        return {key: _from_json(entry) for key, entry in value.items()}
    if isinstance(value, list):
        try:
            array = np.array(value)
        except ValueError:  # not rectangular
            array = np.array(None)
        if array.dtype.kind in "iuf" and array.size:
            return array.astype(np.float64)
        return [_from_json(entry) for entry in value]
    return np.float64(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _refuse_other_than_numbers(params: Any, name: str, file: str) -> None:
    if isinstance(params, dict | list):
        if not params:
            raise UsageError(f"{file}: {name or 'it'} is empty: there is nothing to differentiate")
        items = params.items() if isinstance(params, dict) else enumerate(params)
        for key, value in items:
            _refuse_other_than_numbers(value, f"{name}.{key}" if name else str(key), file)
    elif not isinstance(params, np.ndarray | np.number) or params.dtype.kind not in "iuf":
        kind = f"dtype {params.dtype}" if isinstance(params, np.ndarray) else type(params).__name__
        raise UsageError(f"{file}: {name or 'the array'} must hold real numbers, not {kind}")
    elif params.size == 0:
        raise UsageError(f"{file}: {name or 'the array'} is empty: there is nothing to differentiate")
