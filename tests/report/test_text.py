"""The text report: verdict first, no more than 25 lines, the worst entry first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fdcore.check import Diagnosis, Note, check_gradient
from fdcore.report import fields


def cube(p):
    return float(sum(np.sum(v**3) for v in p.values()))


@pytest.mark.parametrize("arrays", [1, 5, 30, 60])
@pytest.mark.parametrize("bad", [0, 1, 200])
def test_never_more_than_25_lines(arrays, bad):
    params = {f"layer{k}.weight": np.full(4, 1.0 + k) for k in range(arrays)}

    def grad(p):
        result = {k: 3 * v**2 for k, v in p.items()}
        left = bad
        for v in result.values():
            v[: max(left, 0)] *= 2
            left -= v.size
        return result

    check = check_gradient(cube, grad, params)
    lines = str(check).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("wrong: " if bad else "agrees: ")
    if bad:
        header = next(k for k, line in enumerate(lines) if line.startswith("entry"))
        assert lines[header + 1].split()[0] == check.wrong[0].name
        shown = sum(line.startswith("layer") and "[" in line for line in lines)
        assert shown >= min(3, len(check.wrong))


def test_what_the_columns_say():
    text = str(check_gradient(cube, {"w": np.array([3.0, 24.0])}, {"w": np.array([1.0, 2.0])}))
    header = next(line for line in text.splitlines() if line.startswith("entry"))
    assert header.split() == ["entry", "analytic", "numeric", "+-", "error", "bar", "analytic", "/", "numeric", "z"]
    row = next(line for line in text.splitlines() if line.startswith("w[1]"))
    assert row.split()[1:3] == ["24", "12"]
    assert row.split()[4] == "2"
    assert "(bug)" in text


def test_long_names_are_cut():
    name = "encoder." * 20 + "weight"
    lines = str(check_gradient(cube, {name: np.array([1.0])}, {name: np.array([1.0])})).splitlines()
    assert max(map(len, lines)) <= 120


def test_names_that_are_too_long_keep_their_index():
    name = "encoder." * 20 + "weight"
    text = str(check_gradient(cube, {name: np.array([1.0, 3.0])}, {name: np.array([1.0, 1.0])}))
    assert "weight[0]" in text


@pytest.mark.parametrize("arrays", [1, 40])
@pytest.mark.parametrize("remarks", [1, 3, 8, 500])
def test_diagnoses_and_notes_leave_room_for_the_tables(arrays, remarks):
    params = {f"layer{k}.weight": np.full(4, 1.0 + k) for k in range(arrays)}
    check = check_gradient(cube, {k: 6 * v**2 for k, v in params.items()}, params)
    long = "a sentence that goes on and on " * 30
    check = replace(
        check,
        diagnoses=tuple(Diagnosis(f"label-{k}", long, suggestion="look there") for k in range(remarks)),
        notes=tuple(Note(f"note-{k}", long) for k in range(remarks)),
    )
    lines = str(check).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 120
    assert "[label-0]" in " ".join(lines)
    assert sum("layer" in line and " / " in line for line in lines) >= 1
    assert sum("layer" in line and "[" in line for line in lines) >= 3


def test_nothing_reaches_the_terminal_but_printable_characters():
    name = "\x1b[31mred\u202e\r\n\ud800"
    text = str(check_gradient(cube, {name: np.array([9.0])}, {name: np.array([1.0])}))
    assert all(line.isprintable() for line in text.splitlines())
    assert "\\x1b[31mred\\u202e \\ud800" in text


def test_digits_show_the_difference_and_no_more():
    x = np.array([1.0, 2.0])
    check = check_gradient(cube, {"w": np.array([3.0, 12.0 * (1 + 3e-9)])}, {"w": x})
    row = fields.entries(check).rows[0]
    assert row[1].startswith("12.000000036")
    assert row[4] == "1+3e-09"


def test_an_unclear_entry_says_why():
    rng = np.random.default_rng(0)
    check = check_gradient(lambda x: float(x @ x) + rng.normal(), lambda x: 2 * x, np.array([1.0, 2.0]))
    assert check.verdict == "cannot tell"
    assert fields.entries(check).columns[-1].title == "reason"
    assert all(row[-1] for row in fields.entries(check).rows)
    assert "f is noisy" in str(check).splitlines()[-3]
