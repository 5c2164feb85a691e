"""Equivalence: the evidence that source and package agree."""

from transload.convert.equivalence.check import Evidence, check_equivalence

__all__ = ["Evidence", "check_equivalence"]
