"""A sample of the corpus; ``python tests/check/corpus`` runs all of it."""

from __future__ import annotations

import collections
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from corpus import run
from corpus.cases import CASES, build

import fdcore as fd

FAMILIES = (
    "linear logistic softmax mlp_tanh mlp_relu mlp_sigmoid mlp_gelu conv1d conv2d layer_norm batch_norm attention rnn "
    "gru embedding poisson gamma_glm probit kalman ode_fit"
)


def test_the_corpus_has_every_family():
    assert set(FAMILIES.split()) <= set(CASES)
    assert len(CASES) >= 30


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_no_correct_gradient_is_called_wrong(name, mode):
    case = build(name)
    assert fd.check_gradient(case, case.gradient, case.params, mode=mode).verdict == "agrees"


@pytest.mark.parametrize("name", ["logistic", "max_pool", "embedding", "kalman"])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_no_correct_gradient_is_called_wrong_in_single_precision(name, scale):
    case = build(name, np.float32, 0, scale)
    for mode in ("elementwise", "projected"):
        assert fd.check_gradient(case, case.gradient, case.params, mode=mode).verdict != "wrong"


@pytest.mark.parametrize("mode", ["elementwise", "projected"])
def test_bugs_of_a_few_cases_are_caught_located_and_named(mode):
    tally = collections.Counter()
    for cases in ("ridge", "embedding", "softmax"):
        options = SimpleNamespace(cases=cases, bugs="", mode=mode, large=False)
        for record in run.problems(np.float64, 1.0, 0, options):
            run.count(tally, record)
    assert tally["false alarm"] == tally["above"] == tally["missed"] == 0
    assert tally["caught"] > 70
    assert tally["located"] >= 0.95 * tally["caught"]
    assert tally["named"] >= 0.9 * tally["caught"]
