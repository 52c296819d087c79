"""Optional packages are imported through here, with an error that says what to install."""

from __future__ import annotations

import importlib
from typing import Any

from fdcore.errors import MissingExtraError


def require(module: str, *, extra: str, feature: str) -> Any:
    """Import an optional package, or say how to get it.

    Parameters
    ----------
    module : str
        Name to import, for example ``"matplotlib.pyplot"``.
    extra : str
        The extra of fdcore that installs it.
    feature : str
        What the user asked for, as the subject of "... need" in the message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        The package is not installed. An `ImportError` inside an installed package comes through unchanged.

    Examples
    --------
    >>> require("math", extra="plot", feature="circles").pi
    3.14159...
    >>> require("no_such_package", extra="plot", feature="step-size plots")
    Traceback (most recent call last):
    fdcore.errors.MissingExtraError: step-size plots need no_such_package; install it with: pip install 'fdcore[plot]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtraError(f"{feature} need {package}; install it with: pip install 'fdcore[{extra}]'") from error
