"""Everything about one model, in a process of its own: false alarms first, then planted faults."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from benchmarks.mutation.models import MODELS, Model
from benchmarks.mutation.suite import Mutant, check, run_model
from transload.serialize.errors import MismatchError

ALARM_SEEDS = 20


@dataclass(frozen=True)
class Alarm:
    """The check refused a model without a fault, with so many of the seeds."""

    model: str
    what: str
    seeds: int


@dataclass(frozen=True)
class Result:
    """What came out for one model."""

    alarms: list[Alarm]
    mutants: list[Mutant]


def use_one_thread() -> None:
    """More would only wait for one another: the models are small."""
    torch.set_num_threads(1)


def run_one(name: str) -> Result:
    """Look for false alarms of one model and, where there are none, for planted faults."""
    (model,) = (each for each in MODELS if each.name == name)
    alarms = list(find_alarms(model))
    return Result(alarms, [] if alarms else _say(name, list(run_model(model, seed=0))))


def find_alarms(model: Model) -> Iterator[Alarm]:
    """What the check says of a model without a fault."""
    capture = model.capture()
    seeds: dict[str, int] = Counter()
    for seed in range(ALARM_SEEDS):
        try:
            check(capture, model.options(seed))
        except MismatchError as error:
            seeds[error.what.splitlines()[0]] += 1
    yield from (Alarm(model.name, what, count) for what, count in seeds.items())
    print(f"{model.name}: {ALARM_SEEDS} seeds without a fault, {sum(seeds.values())} alarms", file=sys.stderr)


def _say(name: str, found: list[Mutant]) -> list[Mutant]:
    print(f"{name}: {dict(Counter(each.outcome for each in found))}", file=sys.stderr)
    return found
