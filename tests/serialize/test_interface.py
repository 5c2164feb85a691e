"""The interface: every tree survives being written and read."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from transload.serialize.dtypes import DTYPES
from transload.serialize.interface import (
    Case,
    Constant,
    Dict,
    Interface,
    List,
    Node,
    Nothing,
    Proof,
    SourceRecord,
    Tensor,
    Tolerance,
    Tuple,
    decode_interface,
    encode_interface,
    input_tensors,
    leaves,
    output_tensors,
)

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8)
sizes = st.none() | names | st.integers(0, 2**53)
tensors = st.builds(Tensor, names, st.sampled_from(DTYPES), st.none() | st.lists(sizes, max_size=4).map(tuple))
constants = st.builds(
    Constant, st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | names
)
trees: st.SearchStrategy[Node] = st.recursive(
    tensors | constants | st.just(Nothing()),
    lambda children: (
        st.builds(List, st.lists(children, max_size=3).map(tuple))
        | st.builds(Tuple, st.lists(children, max_size=3).map(tuple))
        | st.builds(Dict, st.dictionaries(names, children, max_size=3))
    ),
    max_leaves=6,
)


@given(outputs=trees, single=tensors, noise=st.floats(0, 1))
def test_reading_gives_what_was_written(outputs: Node, single: Tensor, noise: float) -> None:
    interface = Interface(
        "forward",
        {"x": single},
        outputs,
        {"y": Tolerance(noise, 1e-5)},
        SourceRecord("torchscript", "torch", "2.13.0", "ab" * 32),
        Proof("full", (Case("seed 1", "equal", 1e-7, 1e-6),), ("a note",)),
        user_tolerance=True,
    )
    data = encode_interface(interface)
    assert decode_interface(data, "interface.json") == interface
    assert encode_interface(decode_interface(data, "interface.json")) == data


def test_leaves_come_in_the_order_of_the_tree() -> None:
    a, b, c = (Tensor(name, "float32", ()) for name in "abc")
    tree = Dict({"z": List((a, Nothing())), "y": Tuple((Constant(1), Tuple((b,)))), "x": c})
    interface = Interface("f", {"in": tree}, tree, {}, SourceRecord("onnx", "onnx", "1"), Proof("none"))
    assert list(leaves(tree)) == [a, b, c]
    assert input_tensors(interface) == output_tensors(interface) == (a, b, c)
