"""Which of the values that passed through a branch or loop may share memory, with each other or with older ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from transload.convert.torch.script.plans import (
    FixedPlan,
    MappingPlan,
    OptionalPlan,
    Plan,
    SequencePlan,
    StackedPlan,
    TensorPlan,
    VectorPlan,
)
from transload.convert.torch.script.trees import Dynamic, Fixed, Leaf, Mapping, Optional, Tree
from transload.convert.torch.script.values import Cell, Dict, List, Object, Perhaps, Storage, Tensor

Place = tuple[Any, ...]
"""Where in the values that pass a cell stands."""

IN_SEQUENCE = ("in a sequence",)
"""Stands for a list of unknown length that holds the tensor."""


class Sharing:
    """Pairs of places, and of places and older cells, whose cells may be the same."""

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.pairs: set[tuple[Place, Place | Cell]] = set()

    def add(
        self, keys: list[Any], plans: list[Plan], trees: Iterable[Tree], known: dict[Cell, frozenset[Cell]]
    ) -> None:
        """Take down what the trees that pass under plans share.

        Args:
            keys: What the places in each tree begin with.
            known: For each cell in the trees, all cells that may be the same as it.
        """
        places: dict[Place, frozenset[Cell]] = {}
        for key, plan, tree in zip(keys, plans, trees, strict=True):
            for place, cell in _tree_places(plan, tree, (key,)):
                places[place] = known[cell]
        holders: dict[Cell, list[Place]] = {}
        for place, cells in places.items():
            for cell in cells:
                if cell.serial < self.mark:
                    self.pairs.add((place, cell))
                if isinstance(cell, Storage) and cell.in_sequence:
                    self.pairs.add((place, IN_SEQUENCE))
                for other in holders.setdefault(cell, []):
                    self.pairs.add((other, place))
                holders[cell].append(place)

    def apply(self, journal: Any, keys: list[Any], plans: list[Plan], values: Iterable[Any]) -> None:
        """Link the cells that were made for plans."""
        cells: dict[Place, Cell] = {}
        for key, plan, value in zip(keys, plans, values, strict=True):
            cells.update(_value_places(plan, value, (key,)))
        for place, other in self.pairs:
            if place not in cells:
                continue
            if other is IN_SEQUENCE:
                storage = cells[place]
                assert isinstance(storage, Storage)
                journal.hold(storage)
            elif isinstance(other, Cell):
                journal.link(cells[place], other)
            elif other in cells:
                journal.link(cells[place], cells[other])


def mark_sequences(journal: Any, plan: Plan, tree: Tree) -> None:
    """Take down which tensors become items of lists of unknown length."""
    match plan, tree:
        case SequencePlan(), Fixed(items=items):
            for item in items:
                if isinstance(item, Leaf) and item.cell is not None:
                    journal.hold(item.cell.storage)
        case FixedPlan(items=plans), Fixed(items=items):
            for each, item in zip(plans, items, strict=True):
                mark_sequences(journal, each, item)
        case MappingPlan(items=pairs), Mapping(items=mapping):
            for key, each in pairs:
                mark_sequences(journal, each, mapping[key])
        case OptionalPlan(item=each), Optional(item=item):
            mark_sequences(journal, each, item)
        case OptionalPlan(item=each), _:
            mark_sequences(journal, each, tree)


def _tree_places(plan: Plan, tree: Tree, at: Place) -> Iterator[tuple[Place, Cell]]:
    match plan, tree:
        case OptionalPlan(item=each), Optional(item=item):
            yield from _tree_places(each, item, at)
        case OptionalPlan(item=each), _:
            yield from _tree_places(each, tree, at)
        case TensorPlan(), Leaf(cell=Tensor() as tensor):
            yield at, tensor
            yield (*at, "memory"), tensor.storage
        case FixedPlan(items=plans), Fixed(items=items, cell=cell):
            if cell is not None:
                yield at, cell
            for index, (each, item) in enumerate(zip(plans, items, strict=True)):
                yield from _tree_places(each, item, (*at, index))
        case MappingPlan(items=pairs), Mapping(items=mapping, cell=cell):
            if cell is not None:
                yield at, cell
            for key, each in pairs:
                yield from _tree_places(each, mapping[key], (*at, key))
        case SequencePlan() | StackedPlan() | VectorPlan(), Fixed(cell=List() as cell) | Dynamic(cell=List() as cell):
            yield at, cell


def _value_places(plan: Plan, value: Any, at: Place) -> Iterator[tuple[Place, Cell]]:
    match plan, value:
        case OptionalPlan(item=each), Perhaps(value=inner):
            yield from _value_places(each, inner, at)
        case TensorPlan(), Tensor():
            yield at, value
            yield (*at, "memory"), value.storage
        case FixedPlan(items=plans), List(raw=list() as items) | (tuple() as items):
            if isinstance(value, List):
                yield at, value
            for index, (each, item) in enumerate(zip(plans, items, strict=True)):
                yield from _value_places(each, item, (*at, index))
        case MappingPlan(items=pairs), Dict(raw=mapping) | Object(raw=mapping):
            yield at, value
            for key, each in pairs:
                yield from _value_places(each, mapping[key], (*at, key))
        case SequencePlan() | StackedPlan() | VectorPlan(), List():
            yield at, value
