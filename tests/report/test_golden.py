"""Reports as they should look. To change them on purpose: ``python tests/golden/golden.py``, and look at the diff."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
from golden import CHECKS, FOLDER, HOSTILE, reports, stored

from fdcore.errors import ArgumentError
from fdcore.report import data, from_data

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.mark.parametrize("name", CHECKS)
def test_reports_look_as_they_should(name):
    for suffix, text in reports(stored(name)).items():
        assert text == (FOLDER / f"{name}{suffix}").read_text(encoding="utf-8"), suffix


@pytest.mark.parametrize("name", CHECKS)
def test_the_stored_checks_are_what_a_check_finds(name):
    check, kept = CHECKS[name](), stored(name)
    for of in (
        lambda c: c.verdict,
        lambda c: [p.name for p in c.parameters],
        lambda c: {e.name for e in c.wrong},
        lambda c: {d.label for d in c.diagnoses},
        lambda c: {n.label for n in c.notes},
    ):
        assert of(check) == of(kept)


@pytest.mark.parametrize("name", CHECKS)
def test_json_fits_its_schema_and_comes_back(name):
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    plain = json.loads(text, parse_constant=refuse)
    assert from_data(plain).to_dict() == plain
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(data.schema())
    jsonschema.Draft202012Validator(data.schema()).validate(plain)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(data.schema()).validate({**plain, "nfev": "many"})


def test_numbers_that_json_has_not_and_names_that_look_like_them():
    check = stored("hostile")
    plain = check.to_dict()
    assert plain["wrong"][0]["analytic"] == "nan"
    assert {row["z"] for row in plain["wrong"]} == {"inf"}
    assert check.wrong[0].parameter == HOSTILE
    renamed = json.loads(json.dumps(plain).replace(json.dumps(HOSTILE)[1:-1], "nan"))
    assert from_data(renamed).parameters[0].name == "nan"


def test_evidence_of_any_kind_is_plain_data():
    from dataclasses import replace

    check = stored("factor")
    odd = {"array": np.arange(2), "number": np.float32(0.5), "nan": np.nan, "complex": 1j, "flag": np.True_, 3: {4}}
    check = replace(check, diagnoses=(replace(check.diagnoses[0], evidence=odd),))
    evidence = json.loads(check.to_json())["diagnoses"][0]["evidence"]
    assert evidence == {
        "array": [0, 1], "number": 0.5, "nan": "nan", "complex": "1j", "flag": True, "3": "{4}"
    }  # fmt: skip


@pytest.mark.parametrize("bad", [{}, {"format": "fdcore.check", "version": 2}, "[]"])
def test_what_is_no_report(bad):
    with pytest.raises(ArgumentError):
        from_data(bad)
