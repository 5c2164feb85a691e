"""Choosing the input sets on which source and package are compared: never only the example that the capture used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from transload.convert.capture import Array, Capture
from transload.convert.equivalence.dimensions import Variable
from transload.convert.equivalence.integer_use import IntegerUse, Limit, find_integer_uses
from transload.convert.equivalence.turning_points import find_numbers, has_jumps, saturates
from transload.serialize.dimension_sums import add_terms, find_sums
from transload.serialize.dtypes import FLOATS, INTEGERS, numpy_dtype
from transload.serialize.interface import Tensor

SEEDS = 3

LARGE_EXPONENTS = (2.0, 4.0)
MIDDLING_EXPONENTS = (0.0, 2.0)
SMALL_EXPONENTS = (-8.0, -3.0)
TINY_EXPONENTS = (-12.0, -7.0)
"""Powers of ten of the magnitudes in the sets `large values` and so on; all but the tiny ones fit float16."""

NUMBER_SETS = 6
"""For so many of the graph's own numbers there are sets in which they stand out."""

JUMP_ELEMENTS = 2000
MAX_JUMP_SETS = 12
"""So many elements are drawn, in at most so many further sets, where results jump or saturate; see `turning_points`."""

SMALLEST_NORMAL = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}

NOT_FINITE = (np.nan, np.inf, -np.inf)

Sizes = Mapping[str, int]
"""The sizes of the dimensions by name, those of the example included."""


@dataclass(frozen=True)
class InputSet:
    """One set of inputs.

    Args:
        name: What is special about it, as reports show it.
        feed: Arrays by input tensor name.
        gentle: The same with all integers of unknown use as in the example, for a source that refuses `feed`; None
            where there are no such integers or their sizes differ.
        is_smaller: A dimension is smaller than in the example.
    """

    name: str
    feed: dict[str, Array]
    gentle: dict[str, Array] | None = field(default=None, repr=False)
    is_smaller: bool = False


@dataclass(frozen=True)
class Sampler:
    """Draws values for one input.

    Args:
        tensor: The input.
        example: Its value in the example.
        role: `float`, `mask`, `bool`, `string`, or the kind of an integer's use.
        limits: For indices.
        numbers: At which the graph may turn; for floats.
    """

    tensor: Tensor
    example: Array
    role: str
    limits: tuple[Limit, ...] = ()
    numbers: tuple[float, ...] = ()


def plan_samplers(capture: Capture) -> tuple[Sampler, ...]:
    """A sampler for each input, from its name, dtype and example and from what the graph does with it."""
    uses = find_integer_uses(capture.model)
    numbers = find_numbers(capture.model)
    planned = (
        _plan(tensor, capture.example[tensor.name], uses, capture.integer_ranges.get(tensor.name))
        for tensor in capture.input_leaves()
    )
    return tuple(replace(each, numbers=numbers) if each.role == "float" else each for each in planned)


def choose_inputs(capture: Capture, samplers: tuple[Sampler, ...], seed: int) -> Iterator[InputSet]:
    """The sets at the example's sizes, without the example itself and without repetitions.

    Three seeds; negatives; zeros; large and small magnitudes; integers at both edges; NaN and infinities. Values are
    made from the example's own: floats are permuted, moved and scaled, integers drawn anew within what the graph allows
    (see `IntegerUse`) or, where that is not known, within the example's range. Masks stay masks throughout.

    Args:
        capture: Whose inputs to choose.
        samplers: What `plan_samplers` gave.
        seed: Where the random numbers begin; the same seed gives the same sets.
    """
    seen = {_fingerprint(capture.example)}
    sizes = _example_sizes(samplers)
    for name, draw, roles in (*_styles(seed), *_further_seeds(capture, samplers, seed)):
        if not any(sampler.role in roles for sampler in samplers):
            continue
        rng = np.random.default_rng([seed, len(seen)])
        feed = {sampler.tensor.name: draw(sampler, sampler.example.shape, sizes, rng) for sampler in samplers}
        if _fingerprint(feed) not in seen:
            seen.add(_fingerprint(feed))
            yield InputSet(name, feed, _make_gentle(feed, samplers))


def choose_sized_inputs(
    capture: Capture, samplers: tuple[Sampler, ...], other: Mapping[Variable, int], seed: int
) -> InputSet:
    """A set in which some dimensions have another size than in the example."""
    sizes = _example_sizes(samplers) | {name: size for variable, size in other.items() for name in variable.names}
    sums = find_sums(sizes)
    sizes |= {name: int(add_terms(terms, sizes)) for name, terms in sums.items()}
    rng = np.random.default_rng([seed, *sizes.values()])
    feed = {}
    for sampler in samplers:
        shape = list(capture.example[sampler.tensor.name].shape)
        for variable, size in other.items():
            for place in variable.places:
                if place.tensor == sampler.tensor.name:
                    shape[place.axis] = size
        for axis, dim in enumerate(sampler.tensor.shape or ()):
            if dim in sums:
                shape[axis] = sizes[str(dim)]
        feed[sampler.tensor.name] = _draw_seed(sampler, tuple(shape), sizes, rng, style=1)
    name = ", ".join(f"{variable.label}={size}" for variable, size in other.items())
    is_smaller = any(size < variable.size for variable, size in other.items())
    return InputSet(name, feed, _make_gentle(feed, samplers), is_smaller)


def draw_mixed(samplers: tuple[Sampler, ...], rng: np.random.Generator) -> dict[str, Array]:
    """A feed at the example's sizes in which each input is drawn in a way of its own, for reaching unusual places."""
    sizes = _example_sizes(samplers)
    feed = {}
    for sampler in samplers:
        shape = sampler.example.shape
        ways = [draw for _, draw, roles in _styles(0) if sampler.role in roles and draw is not _draw_not_finite]
        way = int(rng.integers(len(ways) + 1))
        if way < len(ways):
            feed[sampler.tensor.name] = ways[way](sampler, shape, sizes, rng)
        elif sampler.role in NUMBERS:
            values = np.full(shape, rng.choice((-100, -3, -1, 1, 2, 3, 100)))
            feed[sampler.tensor.name] = _to_dtype(np.clip(values, *_bounds(sampler)), sampler)
        else:
            feed[sampler.tensor.name] = _draw_discrete(sampler, shape, sizes, rng)
    return feed


def _bounds(sampler: Sampler) -> tuple[float, float]:
    return (-np.inf, np.inf) if sampler.role == "float" else _dtype_range(sampler)


Draw = Callable[[Sampler, tuple[int, ...], Sizes, np.random.Generator], Array]


NUMBERS = frozenset({"float", "calculation"})
INTEGER_ROLES = frozenset({"calculation", "index", "unknown", "bool"})
EVERY_ROLE = NUMBERS | INTEGER_ROLES | {"mask", "levels", "string"}


def _styles(seed: int) -> Iterator[tuple[str, Draw, frozenset[str]]]:
    """Name, drawing function, and the roles of which an input must have one for the set to make sense."""
    for style in range(SEEDS):
        yield f"seed {seed + style + 1}", partial(_draw_seed, style=style), EVERY_ROLE
    yield "negatives", _draw_negatives, NUMBERS
    yield "zeros", _draw_zeros, NUMBERS | {"string"}
    yield "large values", partial(_draw_magnitudes, exponents=LARGE_EXPONENTS), frozenset({"float"})
    yield "middling values", partial(_draw_magnitudes, exponents=MIDDLING_EXPONENTS), frozenset({"float"})
    yield "small values", partial(_draw_magnitudes, exponents=SMALL_EXPONENTS), frozenset({"float"})
    yield "tiny values", partial(_draw_magnitudes, exponents=TINY_EXPONENTS), frozenset({"float"})
    yield "round numbers", _draw_round, NUMBERS
    for place in range(NUMBER_SETS):
        yield f"numbers of the graph {place + 1}", partial(_draw_numbers, place=place), frozenset({"float"})
        yield f"one number of the graph {place + 1}", partial(_draw_one_number, place=place), frozenset({"float"})
    yield "lowest integers", partial(_draw_edge, highest=False), INTEGER_ROLES
    yield "highest integers", partial(_draw_edge, highest=True), INTEGER_ROLES
    yield "not finite", _draw_not_finite, frozenset({"float"})


def _further_seeds(
    capture: Capture, samplers: tuple[Sampler, ...], seed: int
) -> Iterator[tuple[str, Draw, frozenset[str]]]:
    """More seeds where results jump, and more large values where they saturate, the more the smaller the inputs are:
    few elements rarely lie near a jump, or balance."""
    size = sum(sampler.example.size for sampler in samplers if sampler.role in NUMBERS)
    count = min(MAX_JUMP_SETS, JUMP_ELEMENTS // size) if size else 0
    if has_jumps(capture.model):
        for number in range(count):
            style = 1 + number % 2
            yield f"seed {seed + SEEDS + number + 1}", partial(_draw_seed, style=style), EVERY_ROLE
    if saturates(capture.model):
        for number in range(count):
            middling = partial(_draw_magnitudes, exponents=MIDDLING_EXPONENTS)
            yield f"middling values {number + 2}", middling, frozenset({"float"})


def _plan(
    tensor: Tensor, example: Array, uses: Mapping[str, IntegerUse], known_range: tuple[int, int] | None
) -> Sampler:
    values = set(np.unique(example).tolist()) if tensor.dtype in INTEGERS | FLOATS and example.size else set()
    if "mask" in tensor.name.lower() and (tensor.dtype == "bool" or (values and values <= {0, 1})):
        return Sampler(tensor, example, "mask")
    if tensor.dtype in FLOATS:
        # A mask of another kind, such as 0 and minus infinity: only the example says what it may hold.
        return Sampler(tensor, example, "levels" if "mask" in tensor.name.lower() else "float")
    if tensor.dtype in INTEGERS and known_range is not None:
        return Sampler(tensor, example, "index", (Limit(known_range[1] + 1, low=known_range[0]),))
    if tensor.dtype in INTEGERS:
        use = uses.get(tensor.name, IntegerUse("unknown"))
        return Sampler(tensor, example, use.kind, use.limits)
    return Sampler(tensor, example, tensor.dtype)


def _example_sizes(samplers: tuple[Sampler, ...]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for sampler in samplers:
        for axis, dim in enumerate(sampler.tensor.shape or ()):
            size = int(sampler.example.shape[axis])
            sizes[dim if isinstance(dim, str) else f"{sampler.tensor.name}[{axis}]"] = size
    return sizes


def _make_gentle(feed: Mapping[str, Array], samplers: tuple[Sampler, ...]) -> dict[str, Array] | None:
    held = {s.tensor.name: s.example for s in samplers if s.role == "unknown"}
    if not held or any(feed[name].shape != example.shape for name, example in held.items()):
        return None
    return dict(feed) | held


def _fingerprint(feed: Mapping[str, Array]) -> tuple[object, ...]:
    return tuple(
        (name, array.shape, tuple(array.ravel().tolist()) if array.dtype == object else array.tobytes())
        for name, array in feed.items()
    )


def _draw_seed(
    sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator, style: int = 1
) -> Array:
    """Values much like the example's: 0 its own values in another order, 1 moved, 2 scaled."""
    if sampler.role == "float":
        return _to_dtype(_draw_floats(sampler, shape, rng, style), sampler)
    return _draw_discrete(sampler, shape, sizes, rng)


def _draw_floats(sampler: Sampler, shape: tuple[int, ...], rng: np.random.Generator, style: int) -> Array:
    values = _finite_example(sampler)
    if style == 0:
        values = rng.permutation(np.resize(values, shape).ravel()).reshape(shape)
        # Constant examples, zeros above all, have no other order.
        return values if not values.size or np.ptp(values) else values + rng.standard_normal(shape)
    spread = float(values.std()) or float(abs(values).max()) or 1.0
    values = rng.choice(values, shape)
    if style == 1:
        return values + 0.5 * spread * rng.standard_normal(shape)
    return values * float(rng.uniform(0.25, 2.0)) + spread * rng.standard_normal(shape)


def _finite_example(sampler: Sampler) -> Array:
    values = np.asarray(sampler.example, np.float64).ravel()
    values = values[np.isfinite(values)]
    return values if values.size else np.zeros(1)


def _draw_discrete(sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator) -> Array:
    """Masks, booleans, strings and integers."""
    if sampler.role == "mask":
        return _draw_mask(sampler, shape, rng)
    if sampler.role in ("levels", "string"):
        return rng.choice(sampler.example.ravel(), shape).astype(sampler.example.dtype).reshape(shape)
    if sampler.role == "bool":
        return rng.integers(0, 2, shape).astype(bool).reshape(shape)
    low, high = _integer_range(sampler, sizes)
    return np.asarray(rng.integers(low, high, shape, dtype=np.int64, endpoint=True)).astype(_dtype(sampler))


def _draw_mask(sampler: Sampler, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Zeros and ones, at least one 1 in each row (the last axis)."""
    mask = rng.random(shape) < 0.7
    if mask.ndim and mask.size:
        np.put_along_axis(mask, rng.integers(0, shape[-1], (*shape[:-1], 1)), True, axis=-1)
    else:
        mask = np.ones(shape, bool)
    return mask.astype(_dtype(sampler))


def _integer_range(sampler: Sampler, sizes: Sizes) -> tuple[int, int]:
    """The lowest and highest value that an integer input takes in ordinary sets."""
    example = np.asarray(sampler.example)
    low, high = (int(example.min()), int(example.max())) if example.size else (0, 1)
    edge = _dtype_range(sampler)
    if sampler.role == "index":
        lows, highs = [0], []
        for limit in sampler.limits:
            size = sizes.get(limit.size) if isinstance(limit.size, str) else limit.size
            lows.append(limit.low)
            highs.append(high if size is None else size - 1 - limit.offset)
        low, high = max(lows), min(highs)
    elif sampler.role == "calculation":
        low, high = min(low, -100) if edge[0] else min(low, 0), max(high, 100)
    elif low == high:
        low, high = max(low - 1, min(low, 1)), high + 1
    low, high = max(low, edge[0]), min(high, edge[1])
    return low, max(low, high)


def _dtype_range(sampler: Sampler) -> tuple[int, int]:
    bits = int("".join(filter(str.isdigit, sampler.tensor.dtype)))
    # Drawn as int64: the upper half of uint64 is left out.
    if sampler.tensor.dtype.startswith("u"):
        return 0, min((1 << bits) - 1, (1 << 63) - 1)
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _draw_negatives(sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator) -> Array:
    if sampler.role == "float":
        values = _draw_floats(sampler, shape, rng, 1)
        return _to_dtype(-np.abs(values) - 0.01 * (np.abs(values).max(initial=0.0) or 1.0), sampler)
    if sampler.role == "calculation" and _dtype_range(sampler)[0]:
        low, _ = _integer_range(sampler, sizes)
        return np.asarray(rng.integers(low, 0, shape, dtype=np.int64)).astype(_dtype(sampler))
    return _draw_discrete(sampler, shape, sizes, rng)


def _draw_zeros(sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator) -> Array:
    if sampler.role in ("float", "calculation"):
        return np.zeros(shape, _dtype(sampler))
    if sampler.role == "string":
        return np.full(shape, "", object)
    if sampler.role == "index":
        return _draw_edge(sampler, shape, sizes, rng, highest=False)
    return _draw_discrete(sampler, shape, sizes, rng)


def _draw_magnitudes(
    sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator, exponents: tuple[float, float]
) -> Array:
    if sampler.role != "float":
        return sampler.example
    magnitudes = 10.0 ** rng.uniform(*exponents, shape)
    return _to_dtype(np.where(rng.random(shape) < 0.5, -magnitudes, magnitudes), sampler)


def _draw_round(sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator) -> Array:
    """Few different numbers: equal elements, and halves, which is where rules of rounding differ."""
    if sampler.role == "float":
        return _to_dtype(rng.integers(-6, 7, shape) / 2, sampler)
    if sampler.role == "calculation":
        low = -3 if _dtype_range(sampler)[0] else 0
        return np.asarray(rng.integers(low, 4, shape, dtype=np.int64)).astype(_dtype(sampler))
    return _draw_discrete(sampler, shape, sizes, rng)


def _draw_numbers(
    sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator, *, place: int
) -> Array:
    """The numbers at which the graph may turn, one of them above all, and their neighbours."""
    if sampler.role != "float" or place >= len(sampler.numbers):
        return sampler.example
    others = rng.choice(sampler.numbers, shape) * rng.choice((1, 1, -1), shape)
    values = _to_dtype(np.where(rng.random(shape) < 0.5, sampler.numbers[place], others), sampler)
    toward = _to_dtype(rng.choice((-np.inf, np.inf), shape), sampler)
    neighbors = np.nextafter(values, toward)
    # TensorFlow's kernels flush denormal numbers to zero, ONNX Runtime's do not: zero's neighbours are normal ones.
    smallest = SMALLEST_NORMAL.get(sampler.tensor.dtype, 0.0)
    denormal = (neighbors != 0) & (np.abs(neighbors) < smallest)
    neighbors = np.where(denormal, np.copysign(smallest, neighbors), neighbors)
    return np.where(rng.random(shape) < 0.5, values, neighbors).astype(_dtype(sampler))


def _draw_one_number(
    sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator, *, place: int
) -> Array:
    """Zeros with one such number in front, so that a sum or a maximum hits it exactly."""
    if sampler.role != "float" or place >= len(sampler.numbers):
        return sampler.example
    values = np.zeros(shape, _dtype(sampler))
    if values.size:
        values.flat[0] = sampler.numbers[place]
    return values


def _draw_edge(
    sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator, *, highest: bool
) -> Array:
    if sampler.role == "calculation":
        return np.full(shape, _dtype_range(sampler)[highest], np.int64).astype(_dtype(sampler))
    if sampler.role == "index":
        return np.full(shape, _integer_range(sampler, sizes)[highest], _dtype(sampler))
    if sampler.role == "unknown" and sampler.example.size:
        return np.full(shape, sampler.example.max() if highest else sampler.example.min(), _dtype(sampler))
    if sampler.role == "bool":
        return np.full(shape, highest)
    return sampler.example


def _draw_not_finite(sampler: Sampler, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator) -> Array:
    """The example with one NaN and one infinity of each sign, far apart, so that not everything turns to NaN."""
    if sampler.role != "float":
        return sampler.example
    values = np.array(sampler.example)
    flat = values.reshape(-1)
    for number, value in enumerate(NOT_FINITE[: flat.size]):
        flat[(2 * number + 1) * flat.size // (2 * len(NOT_FINITE))] = value
    return values


def _to_dtype(values: Array, sampler: Sampler) -> Array:
    # 0-d results of numpy's arithmetic are scalars.
    return np.asarray(values).astype(_dtype(sampler))


def _dtype(sampler: Sampler) -> np.dtype[np.generic]:
    return numpy_dtype(sampler.tensor.dtype)
