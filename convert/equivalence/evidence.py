"""What the check finds, and what is said of a capture that nobody checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transload.convert.capture import Capture
from transload.convert.equivalence.dimensions import find_variables
from transload.convert.options import ConvertOptions
from transload.serialize import VectorSet
from transload.serialize.interface import Proof, Tolerance


@dataclass(frozen=True)
class Evidence:
    """What the check found.

    Args:
        proof: Level, every input set tried, and sentences for the user.
        vectors: Recorded inputs with the source's outputs.
        dynamic: The dimensions that may be called dynamic, by name.
        steps: Of these, those that vary in steps only, with their steps.
        tolerances: Bounds with a noise term, by output name. Only where a vector is recorded on which the package is
        as near the truth as the source but outside the plain bound: whoever replays it has no truth at hand.
    """

    proof: Proof
    vectors: tuple[VectorSet, ...] = ()
    dynamic: frozenset[str] = frozenset()
    steps: Mapping[str, int] = field(default_factory=dict)
    tolerances: dict[str, Tolerance] = field(default_factory=dict)


def without_proof(capture: Capture, options: ConvertOptions) -> Evidence:
    """Nothing was tried; every dimension counts as dynamic that is declared so."""
    variables = find_variables(capture, options)
    return Evidence(Proof("none"), dynamic=frozenset(name for each in variables for name in each.names))
