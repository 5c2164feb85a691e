"""A small part of the mutation suite (`make mutation`), and that its proofs do not excuse what changes something."""

from __future__ import annotations

import pytest

from benchmarks.mutation.equivalent import prove_equivalent
from benchmarks.mutation.models import MODELS, Model
from benchmarks.mutation.operators import OPERATORS
from benchmarks.mutation.suite import check, run_model
from transload.serialize.errors import MismatchError

BY_NAME = {model.name: model for model in MODELS}


def test_there_are_as_many_faults_and_models_as_the_suite_promises() -> None:
    assert len(OPERATORS) >= 40
    assert len(MODELS) >= 20


@pytest.mark.parametrize("name", ["rounding", "reducing", "cutting", "counting"])
def test_every_fault_in_a_small_model_is_caught_or_proven_to_change_nothing(name: str) -> None:
    outcomes = {(each.operator, each.node): each.outcome for each in run_model(BY_NAME[name], seed=0)}
    assert sum(outcome == "caught" for outcome in outcomes.values()) > 5
    assert {key for key, outcome in outcomes.items() if outcome == "survived"} == set()


@pytest.mark.parametrize("name", ["rounding", "tagger", "branching", "ranking", "integers"])
def test_no_alarm_is_raised_without_a_fault(name: str) -> None:
    capture = BY_NAME[name].capture()
    for seed in range(2):
        check(capture, BY_NAME[name].options(seed))


def test_catching_faults_in_a_model_that_is_refused_without_one_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capture = BY_NAME["cutting"].capture()
    operator = OPERATORS["addition instead of multiplication"]
    operator.change(next(node for node in capture.model.graph.all_nodes() if operator.suits(node)))
    monkeypatch.setattr(Model, "capture", lambda model: capture)
    with pytest.raises(MismatchError):
        next(run_model(BY_NAME["cutting"], seed=0))


def test_what_changes_something_is_not_proven_equivalent() -> None:
    capture = BY_NAME["choosing"].capture()
    nodes = list(capture.model.graph.all_nodes())
    proven = []
    for operator in OPERATORS.values():
        for index in (index for index, node in enumerate(nodes) if operator.suits(node)):
            copy = capture.model.clone()
            operator.change(list(copy.graph.all_nodes())[index])
            if prove_equivalent(capture, index, operator.name, copy):
                proven.append((operator.name, nodes[index].name))
    # Nothing in this model is bounded, constant or unread.
    assert proven == []
