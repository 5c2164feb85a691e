"""Whether components together are the model: what is carried between them must be all that counts."""

from __future__ import annotations

import torch

from transload.convert.torch.threads import one_thread
from transload.serialize.errors import TransloadError, UnsupportedError

ROUNDINGS = 1 << 13
"""How many roundings apart the two ways of computing may be, of the largest value: 1e-3 in float32."""


def call_first(module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The part's answer, where it is not known yet whether the model works with a cache of keys and values alone.

    Raises:
        UnsupportedError: it does not.
    """
    # Models with other caches fail in whatever way their code does.
    try:
        with torch.no_grad(), one_thread():
            found: dict[str, torch.Tensor] = module(**tensors)
    except TransloadError:
        raise
    except Exception as error:
        raise UnsupportedError(
            f"The model does not work with a past of keys and values alone: {type(error).__name__}."
        ) from error
    return found


def demand_agreement(whole: torch.Tensor, parts: torch.Tensor) -> None:
    """Refuse a model that computes something else in steps than at once.

    Raises:
        UnsupportedError: it does.
    """
    bound = float(whole.abs().max()) * min(ROUNDINGS * torch.finfo(whole.dtype).eps, 0.05)
    distance = float((whole - parts).abs().max())
    if not distance <= bound:
        raise UnsupportedError(
            f"In steps the model computes something else than at once (logits differ by {distance:.3g}): it keeps more "
            "than the keys and values of its layers."
        )
