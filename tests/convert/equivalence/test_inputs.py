"""Which input sets are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from captures import FunctionReference, capture, graph, randn
from onnx import helper

from transload.convert.capture import Array, Capture
from transload.convert.equivalence.dimensions import (
    Place,
    Variable,
    distinct_sizes,
    find_variables,
    next_prime,
    other_sizes,
    possible_steps,
    previous_prime,
)
from transload.convert.equivalence.inputs import InputSet, choose_inputs, choose_sized_inputs, plan_samplers
from transload.convert.options import ConvertOptions, InputSpec


def made(
    inputs: Mapping[str, tuple[str, Sequence[int | str]]], example: Mapping[str, Array], node: str = "Identity"
) -> Capture:
    """A graph that passes each input on by an operator of one input."""
    nodes = [helper.make_node(node, [name], [f"{name}_out"]) for name in inputs]
    outputs = {f"{name}_out": dtype for name, (dtype, _) in inputs.items()}
    model = graph(nodes, inputs, outputs)
    return capture(model, FunctionReference(lambda **feed: tuple(feed.values()), list(outputs)), example, outputs)


def sized(size: int, *, step: int = 1) -> Variable:
    return Variable(("n",), (Place("x", 0),), size, step=step, may_step=True)


def choose(source: Capture, seed: int = 0) -> dict[str, InputSet]:
    return {inputs.name: inputs for inputs in choose_inputs(source, plan_samplers(source), seed)}


FLOATS = made({"x": ("float32", ["batch", 40])}, {"x": randn(3, 40) + 5})


def test_every_kind_of_set_is_there_and_none_is_the_example() -> None:
    sets = choose(FLOATS)
    assert list(sets) == [
        "seed 1", "seed 2", "seed 3", "negatives", "zeros", "large values", "middling values", "small values",
        "tiny values", "round numbers", "not finite",
    ]  # fmt: skip
    for inputs in sets.values():
        assert not np.array_equal(inputs.feed["x"], FLOATS.example["x"])
        assert inputs.feed["x"].dtype == np.float32


def test_the_sets_are_what_their_names_say() -> None:
    sets = {name: inputs.feed["x"] for name, inputs in choose(FLOATS).items()}
    assert (sets["negatives"] < 0).all()
    assert not sets["zeros"].any()
    assert (np.abs(sets["large values"]) >= 100).all()
    assert (np.abs(sets["small values"]) <= 1e-3).all()
    assert {True, False} == set((sets["large values"] > 0).ravel().tolist())
    assert np.isnan(sets["not finite"]).sum() == 1
    assert np.isposinf(sets["not finite"]).sum() == np.isneginf(sets["not finite"]).sum() == 1


def test_one_seed_holds_the_example_s_own_values_in_another_order() -> None:
    np.testing.assert_array_equal(np.sort(choose(FLOATS)["seed 1"].feed["x"], None), np.sort(FLOATS.example["x"], None))


def test_the_same_seed_gives_the_same_sets_and_another_gives_others() -> None:
    first, again, other = (choose(FLOATS, seed) for seed in (0, 0, 7))
    for name in first:
        np.testing.assert_array_equal(first[name].feed["x"], again[name].feed["x"])
    assert "seed 8" in other
    assert not np.array_equal(first["negatives"].feed["x"], other["negatives"].feed["x"])


def test_the_example_is_not_changed() -> None:
    before = FLOATS.example["x"].copy()
    choose(FLOATS)
    np.testing.assert_array_equal(FLOATS.example["x"], before)


def test_a_constant_example_is_varied_too() -> None:
    source = made({"x": ("float32", [3, 4])}, {"x": np.zeros((3, 4), np.float32)})
    assert choose(source)["seed 1"].feed["x"].std() > 0.1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scalars_stay_scalars_of_their_dtype(dtype: str) -> None:
    source = made({"x": (dtype, [])}, {"x": np.array(2.0, dtype)})
    for inputs in choose(source).values():
        assert isinstance(inputs.feed["x"], np.ndarray)
        assert inputs.feed["x"].shape == ()
        assert inputs.feed["x"].dtype == dtype


def test_masks_keep_a_one_in_every_row_in_every_set() -> None:
    shape = (64, 6)
    source = made(
        {"attention_mask": ("int64", ["batch", "seq"]), "x": ("float32", ["batch", "seq"])},
        {"attention_mask": np.ones(shape, np.int64), "x": randn(*shape)},
    )
    sets = choose(source)
    for inputs in sets.values():
        mask = inputs.feed["attention_mask"]
        assert set(np.unique(mask)) <= {0, 1}
        assert mask.any(axis=1).all()
    assert not sets["seed 1"].feed["attention_mask"].all()


def test_a_mask_of_other_levels_keeps_its_levels() -> None:
    levels = np.where(np.eye(6, dtype=bool), 0.0, -np.inf).astype(np.float32)
    source = made({"attn_mask": ("float32", [6, 6])}, {"attn_mask": levels})
    assert set(np.unique(choose(source)["seed 1"].feed["attn_mask"])) <= {0.0, -np.inf}


def embedding(rows: int = 50) -> Capture:
    inputs = {"ids": ("int64", ["batch", "seq"])}
    model = graph(
        [helper.make_node("Gather", ["table", "ids"], ["y"])], inputs, {"y": "float32"}, {"table": randn(rows, 3)}
    )
    return capture(model, FunctionReference(lambda ids: ids, ["y"]), {"ids": np.array([[1, 2, 3]])})


def test_indices_fill_their_table_and_stay_inside() -> None:
    sets = {name: inputs.feed["ids"] for name, inputs in choose(embedding()).items()}
    assert all(((ids >= 0) & (ids < 50)).all() for ids in sets.values())
    assert max(ids.max() for name, ids in sets.items() if name.startswith("seed")) > 3
    assert (sets["lowest integers"] == 0).all()
    assert (sets["highest integers"] == 49).all()


def test_indices_at_another_size_stay_inside() -> None:
    source = embedding()
    batch, seq = find_variables(source, ConvertOptions())
    inputs = choose_sized_inputs(source, plan_samplers(source), {batch: 40, seq: 100}, 0)
    assert inputs.feed["ids"].shape == (40, 100)
    assert 40 < inputs.feed["ids"].max() < 50


def test_an_index_into_a_dimension_follows_its_size() -> None:
    inputs = {"x": ("float32", ["time", 3]), "at": ("int64", [4])}
    model = graph([helper.make_node("Gather", ["x", "at"], ["y"])], inputs, {"y": "float32"})
    example = {"x": randn(5, 3), "at": np.array([0, 1, 2, 3])}
    source = capture(model, FunctionReference(lambda x, at: x[at], ["y"]), example)
    (time,) = find_variables(source, ConvertOptions())
    for size in (1, 3, 200):
        at = choose_sized_inputs(source, plan_samplers(source), {time: size}, 0).feed["at"]
        assert at.min() >= 0
        assert at.max() < size


def test_integers_that_are_calculated_with_go_to_the_edges_of_their_dtype() -> None:
    source = made({"x": ("int32", [8])}, {"x": np.arange(8, dtype=np.int32)}, "Abs")
    sets = {name: inputs.feed["x"] for name, inputs in choose(source).items()}
    assert (sets["lowest integers"] == -(2**31)).all()
    assert (sets["highest integers"] == 2**31 - 1).all()
    assert (sets["negatives"] < 0).all()


def test_integers_of_unknown_use_stay_near_the_example_and_can_be_held() -> None:
    inputs = {"shape": ("int64", [2]), "x": ("float32", [3])}
    model = graph(
        [helper.make_node("ConstantOfShape", ["shape"], ["y"]), helper.make_node("Sin", ["x"], ["z"])],
        inputs,
        {"y": "float32", "z": "float32"},
    )
    example = {"shape": np.array([3, 5]), "x": randn(3)}
    source = capture(model, FunctionReference(lambda shape, x: (np.zeros(shape), np.sin(x)), ["y", "z"]), example)
    for chosen in choose(source).values():
        assert ((chosen.feed["shape"] >= 3) & (chosen.feed["shape"] <= 5)).all()
        assert chosen.gentle is not None
        np.testing.assert_array_equal(chosen.gentle["shape"], [3, 5])
        np.testing.assert_array_equal(chosen.gentle["x"], chosen.feed["x"])


def test_strings_and_booleans_are_varied() -> None:
    words = np.array(["a", "b", "c", "d"], object)
    source = made({"s": ("string", [4]), "b": ("bool", [4])}, {"s": words, "b": np.ones(4, bool)})
    sets = choose(source)
    assert set(sets["seed 1"].feed["s"]) <= set(words)
    assert any(not inputs.feed["b"].all() for inputs in sets.values())
    assert list(sets["zeros"].feed["s"]) == [""] * 4


def test_a_dimension_is_tried_at_one_and_a_prime_first() -> None:
    assert other_sizes(sized(2))[:2] == (1, 3)
    assert other_sizes(sized(224))[:2] == (1, 227)
    assert other_sizes(sized(1))[:2] == (3, 2)
    for size in range(1, 300):
        assert size not in other_sizes(sized(size))
        assert min(other_sizes(sized(size))) >= 1


def test_a_dimension_in_steps_is_tried_at_one_step_and_a_prime_number_of_them_first() -> None:
    assert other_sizes(sized(224, step=32))[:2] == (32, 11 * 32)
    assert distinct_sizes([sized(5), sized(9, step=3), sized(4, step=2)]) == {
        sized(5): 7,
        sized(9, step=3): 15,
        sized(4, step=2): 6,
    }
    assert [each.step for each in possible_steps(sized(12))] == [2, 3, 4, 6, 12]
    assert not list(possible_steps(replace(sized(12), may_step=False)))


def test_a_dimension_is_known_to_vary_in_steps_by_its_name_and_the_terms_of_sums_never_do() -> None:
    shapes = {"x": ("float32", ["4*rows", "past", "n"]), "mask": ("float32", ["past+n"])}
    variables = find_variables(made(shapes, {"x": randn(8, 2, 3), "mask": randn(5)}), ConvertOptions())
    assert [(each.label, each.step, each.may_step) for each in variables] == [
        ("4*rows", 4, False), ("past", 1, False), ("n", 1, False)
    ]  # fmt: skip


def test_a_sum_of_dimensions_follows_its_terms_and_one_that_may_be_empty_is_tried_empty() -> None:
    shapes = {
        "mask": ("int64", ["batch", "past+seq"]),
        "past": ("float32", ["batch", "past"]),
        "ids": ("int64", ["seq"]),
    }
    example = {"mask": np.ones((2, 7), np.int64), "past": randn(2, 4), "ids": np.array([3, 4, 3])}
    source = replace(made(shapes, example), may_be_empty=frozenset({"past"}), integer_ranges={"ids": (2, 5)})
    variables = find_variables(source, ConvertOptions())
    assert [(each.names, each.smallest) for each in variables] == [(("batch",), 1), (("past",), 0), (("seq",), 1)]
    assert other_sizes(variables[1])[:2] == (0, 5)
    samplers = plan_samplers(source)
    for past, seq in ((0, 1), (5, 3), (11, 2)):
        sizes = {variables[1]: past, variables[2]: seq}
        feed = choose_sized_inputs(source, samplers, sizes, 0).feed
        assert {name: array.shape for name, array in feed.items()} == {
            "mask": (2, past + seq),
            "past": (2, past),
            "ids": (seq,),
        }
    drawn = np.concatenate([inputs.feed["ids"] for inputs in choose(source).values()])
    assert {2, 5} <= set(drawn) <= {2, 3, 4, 5}


def test_primes() -> None:
    assert [next_prime(number) for number in (1, 2, 7, 13, 90)] == [3, 3, 11, 17, 97]
    assert [previous_prime(number) for number in (2, 3, 8, 100)] == [0, 2, 7, 97]


def test_all_at_once_makes_height_unlike_width() -> None:
    source = made({"x": ("float32", ["batch", 3, "height", "width"])}, {"x": randn(2, 3, 8, 8)})
    sizes = distinct_sizes(find_variables(source, ConvertOptions()))
    assert len(set(sizes.values())) == 3
    assert all(size != variable.size for variable, size in sizes.items())


def test_equal_names_vary_together_and_know_whether_they_were_asked_for() -> None:
    source = made(
        {"a": ("float32", ["batch", 2]), "b": ("float32", ["other", "batch"])}, {"a": randn(3, 2), "b": randn(4, 3)}
    )
    options = ConvertOptions(inputs=(InputSpec("a", "float32", ("batch", 2)),))
    batch, other = find_variables(source, options)
    assert (batch.label, batch.asked, batch.size) == ("batch", True, 3)
    assert (other.label, other.asked, other.size) == ("other", False, 4)
    inputs = choose_sized_inputs(source, plan_samplers(source), {batch: 5}, 0)
    assert {name: array.shape for name, array in inputs.feed.items()} == {"a": (5, 2), "b": (4, 5)}
    assert inputs.name == "batch=5"


def test_numbers_near_zero_are_no_denormal_ones() -> None:
    # TensorFlow's kernels flush them, ONNX Runtime's do not: what is not zero to one is to the other.
    x = randn(4, 64)
    above = helper.make_node("Greater", ["x", "zero"], ["y"])
    model = graph([above], {"x": ("float32", ["n", 64])}, {"y": "bool"}, {"zero": np.zeros((), np.float32)})
    captured = capture(model, lambda x: x > 0, {"x": x})
    sets = [each for each in choose_inputs(captured, plan_samplers(captured), 0) if "numbers" in each.name]
    values = np.concatenate([each.feed["x"].ravel() for each in sets])
    assert (np.abs(values) == np.finfo(np.float32).tiny).any()
    assert not ((values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)).any()
