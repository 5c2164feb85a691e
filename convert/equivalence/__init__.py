"""Equivalence: the evidence that source and package agree."""
