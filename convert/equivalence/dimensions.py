"""The dimensions of a capture's inputs that may vary, and the other sizes at which to try them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from transload.convert.capture import Array, Capture
from transload.convert.options import ConvertOptions
from transload.serialize.dimension_steps import find_steps
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
    step: int = 1
    may_step: bool = False

    @property
    def label(self) -> str:
        """How the dimension is called in names of input sets and in messages."""
        return self.names[0]


def find_variables(capture: Capture, options: ConvertOptions) -> tuple[Variable, ...]:
    """Every dimension that may vary, in order of appearance."""
    asked = {dim for spec in options.inputs for dim in spec.shape or () if isinstance(dim, str)} | capture.must_vary
    sums = find_sums(dim for tensor in capture.input_leaves() for dim in tensor.shape or ())
    steps = find_steps(dim for tensor in capture.input_leaves() for dim in tensor.shape or ())
    terms = {term for each in sums.values() for term in each}
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
            step=steps.get(name, 1),
            may_step=name not in terms and name not in steps,
        )
        for name, places in named.items()
    ]
    for (_, size), places in unnamed.items():
        found.append(Variable(tuple(f"{place.tensor}[{place.axis}]" for place in places), tuple(places), size))
    return tuple(found)


def _example_size(example: Mapping[str, Array], place: Place) -> int:
    return int(example[place.tensor].shape[place.axis])


def possible_steps(variable: Variable) -> Iterator[Variable]:
    """The dimension in steps that divide its size in the example, from small to large; none where it is a term of a
    sum, or has no name."""
    if variable.may_step:
        steps = range(2, variable.size + 1)
        yield from (replace(variable, step=step) for step in steps if variable.size % step == 0)


def other_sizes(variable: Variable) -> tuple[int, ...]:
    """Sizes other than the example's, in the order in which to try them until the source accepted two.

    The smallest, most often 1, and the next prime come first: 1 is what exporters like to treat as a constant, and a
    prime divides nothing by chance. The prime lies above the example's size, because a table that was cut at the
    example's size still serves smaller ones. Then come a smaller prime, for sources with an upper limit, and multiples,
    for sources that want sizes divisible by their strides. A dimension in steps has so many steps.
    """
    size, smallest = variable.size // variable.step, variable.smallest
    wanted = [smallest, next_prime(size), previous_prime(size), 2 * size, 3 * size, size // 2, size + 32, size - 32]
    counts = dict.fromkeys(number for number in wanted if number >= smallest and number != size)
    return tuple(number * variable.step for number in counts)


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
    """One other size for each dimension, no two equal: a prime, or so many steps, above the example's."""
    sizes: dict[Variable, int] = {}
    for variable in variables:
        count = next_prime(variable.size // variable.step)
        while count * variable.step in sizes.values():
            count = next_prime(count)
        sizes[variable] = count * variable.step
    return sizes


def tied_sizes(variable: Variable, variables: Iterable[Variable], size: int) -> dict[Variable, int]:
    """`size` for a dimension and for all others that have its size in the example and can take it."""
    others = [other for other in variables if other.size == variable.size and size % other.step == 0]
    return {variable: size} | {other: size for other in others if other.label != variable.label}
