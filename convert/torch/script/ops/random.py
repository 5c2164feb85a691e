"""Operators that draw random numbers: refused, since no package could give what the source gave."""

from __future__ import annotations

import torch

from transload.convert.torch.script.registry import REFUSED

REASON = "It draws random numbers: the source itself gives other results at every call."

_NAMES = (
    *("rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "randperm", "bernoulli", "normal"),
    *("multinomial", "poisson", "binomial", "uniform", "cauchy", "exponential", "geometric", "log_normal", "random"),
    *("rrelu", "rrelu_with_noise", "fractional_max_pool2d", "fractional_max_pool3d", "native_dropout"),
)


for _name in _NAMES:
    for _base in (_name, f"{_name}_"):
        packet = getattr(torch.ops.aten, _base, None)
        for _overload in packet.overloads() if packet is not None else ():
            REFUSED[f"aten::{_base}" + ("" if _overload == "default" else f".{_overload}")] = REASON
