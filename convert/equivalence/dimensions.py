"""The dimensions of a capture's inputs that may vary, and the other sizes at which to try them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from transload.convert.capture import Array, Capture
from transload.convert.options import ConvertOptions
from transload.serialize.dimension_sums import find_sums


@dataclass(frozen=True)
class Place:
    """One axis of one input."""

    tensor: str
    axis: int


@dataclass(frozen=True)
class Variable:
    """A dimension that may vary: its names, every place that has it, and its size in the example.

    A named dimension has its name. Axes of unknown size have names of the form `tensor[axis]`; those on one axis that
    have one size in the example vary together, since most often they are one dimension. Sums of dimensions are none of
    their own: they follow their terms.
    """

    names: tuple[str, ...]
    places: tuple[Place, ...]
    size: int
    asked: bool = False
    smallest: int = 1

    @property
    def label(self) -> str:
        """How the dimension is called in names of input sets and in messages."""
        return self.names[0]


def find_variables(capture: Capture, options: ConvertOptions) -> tuple[Variable, ...]:
    """Every dimension that may vary, in order of appearance."""
    asked = {dim for spec in options.inputs for dim in spec.shape or () if isinstance(dim, str)} | capture.must_vary
    sums = find_sums(dim for tensor in capture.input_leaves() for dim in tensor.shape or ())
    named: dict[str, list[Place]] = {}
    unnamed: dict[tuple[int, int], list[Place]] = {}
    for tensor in capture.input_leaves():
        for axis, dim in enumerate(tensor.shape or ()):
            if dim in sums:
                continue
            if isinstance(dim, str):
                named.setdefault(dim, []).append(Place(tensor.name, axis))
            elif dim is None:
                size = capture.example[tensor.name].shape[axis]
                unnamed.setdefault((axis, size), []).append(Place(tensor.name, axis))
    found = [
        Variable(
            (name,),
            tuple(places),
            _example_size(capture.example, places[0]),
            asked=name in asked,
            smallest=0 if name in capture.may_be_empty else 1,
        )
        for name, places in named.items()
    ]
    for (_, size), places in unnamed.items():
        found.append(Variable(tuple(f"{place.tensor}[{place.axis}]" for place in places), tuple(places), size))
    return tuple(found)


def _example_size(example: Mapping[str, Array], place: Place) -> int:
    return int(example[place.tensor].shape[place.axis])


def other_sizes(size: int, smallest: int = 1) -> tuple[int, ...]:
    """Sizes other than `size`, in the order in which to try them until the source accepted two.

    The smallest, most often 1, and the next prime come first: 1 is what exporters like to treat as a constant, and a
    prime divides nothing by chance. The prime lies above the example's size, because a table that was cut at the
    example's size still serves smaller ones. Then come a smaller prime, for sources with an upper limit, and multiples,
    for sources that want sizes divisible by their strides.
    """
    wanted = [smallest, next_prime(size), previous_prime(size), 2 * size, 3 * size, size // 2, size + 32, size - 32]
    return tuple(dict.fromkeys(number for number in wanted if number >= smallest and number != size))


def next_prime(number: int) -> int:
    """The smallest prime above a number, 3 at least."""
    candidate = max(number + 1, 3)
    while not _is_prime(candidate):
        candidate += 1
    return candidate


def previous_prime(number: int) -> int:
    """The largest prime below a number, 0 where there is none."""
    return next((candidate for candidate in range(number - 1, 1, -1) if _is_prime(candidate)), 0)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def distinct_sizes(variables: Iterable[Variable]) -> dict[Variable, int]:
    """One other size for each dimension, no two equal: a prime above the example's."""
    sizes: dict[Variable, int] = {}
    for variable in variables:
        size = next_prime(variable.size)
        while size in sizes.values():
            size = next_prime(size)
        sizes[variable] = size
    return sizes


def tied_sizes(variable: Variable, variables: Iterable[Variable], size: int) -> dict[Variable, int]:
    """`size` for a dimension and for all others that have its size in the example."""
    return {other: size for other in variables if other.size == variable.size}
