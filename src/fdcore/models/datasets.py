"""The two small public data sets that come with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from fdcore.models._base import Array

__all__ = ["Norris", "ORing", "load_norris", "load_oring"]


class Norris(NamedTuple):
    """NIST's calibration of ozone monitors, with the certified least-squares fit ``y = B0 + B1 x``.

    Attributes
    ----------
    x, y : (36,) ndarray
        The observations.
    certified : (2,) ndarray
        B0 and B1.
    certified_deviation : float
        Residual standard deviation.
    """

    x: Array
    y: Array
    certified: Array
    certified_deviation: float


class ORing(NamedTuple):
    """The O-rings of 23 Space Shuttle launches.

    Attributes
    ----------
    temperature : (23,) ndarray
        In degrees Fahrenheit.
    distress : (23,) ndarray
        1 where an O-ring showed thermal distress, else 0.
    """

    temperature: Array
    distress: Array


def load_norris() -> Norris:
    """Linear regression data "Norris" from the NIST Statistical Reference Datasets.

    Returns
    -------
    Norris
        ``x`` and ``y``, 36 observations; ``certified``, the estimates of B0 and B1; ``certified_deviation``, the
        residual standard deviation.

    Examples
    --------
    >>> from fdcore.models.datasets import load_norris
    >>> load_norris().certified
    array([-0.26232307,  1.00211682])
    """
    lines = _read("Norris.dat").splitlines()
    # "B0 estimate deviation", "B1 estimate deviation", "Standard Deviation value"
    rows = {row[0]: row[1:] for line in lines[30:40] if (row := line.split())}
    table = np.array([line.split() for line in lines[60:96]], np.float64)
    certified = np.array([rows["B0"][0], rows["B1"][0]], np.float64)
    return Norris(table[:, 1].copy(), table[:, 0].copy(), certified, float(rows["Standard"][1]))


def load_oring() -> ORing:
    """Space Shuttle O-rings before Challenger, from the Rogers Commission's report.

    Returns
    -------
    ORing
        ``temperature`` and ``distress`` (0 or 1), 23 launches.

    Examples
    --------
    >>> from fdcore.models.datasets import load_oring
    >>> int(load_oring().distress.sum())
    7
    """
    table = np.array([line.split(",") for line in _read("oring.csv").split()[1:]], np.float64)
    return ORing(table[:, 1].copy(), table[:, 2].copy())


def _read(name: str) -> str:
    return (files("fdcore") / "data" / name).read_text(encoding="ascii")
