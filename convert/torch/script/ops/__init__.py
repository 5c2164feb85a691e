"""The operators' translations: one module for each family. Importing this package fills the registry."""

from transload.convert.torch.script.ops import (  # noqa: F401
    complex_numbers,
    containers,
    conversion,
    convolution,
    covariance,
    creation,
    detection,
    distance,
    einsum,
    elementwise,
    factorization,
    fourier,
    indexing,
    linalg,
    linear,
    normalization,
    norms,
    orthogonal,
    pooling,
    prims,
    quantized,
    random,
    recurrent,
    reduction,
    resize,
    scattering,
    shaping,
    sorting,
    special,
    spectral,
    views,
    windows,
)
from transload.convert.torch.script.registry import COMPLEX, OPERATORS, RAW, REFUSED, VIEWS

BY_PARTS: frozenset[str] = views.LINEAR | shaping.LINEAR
"""Operators that treat real and imaginary parts of a complex tensor alike."""

__all__ = ["BY_PARTS", "COMPLEX", "OPERATORS", "RAW", "REFUSED", "VIEWS"]
