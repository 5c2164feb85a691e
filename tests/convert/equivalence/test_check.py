"""The check as a whole: levels of proof, undefined sets, dynamic dimensions, vectors, noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from captures import FunctionReference, StubRunner, capture, check, graph, randn, stub_loader
from onnx import helper

from transload.convert.capture import Array, Capture, Feed
from transload.convert.equivalence.check import check_equivalence
from transload.convert.equivalence.evidence import Evidence
from transload.convert.options import ConvertOptions
from transload.runtime.verify import verify
from transload.serialize import Component, Package
from transload.serialize.errors import MismatchError, UsageError
from transload.serialize.interface import Interface, Proof, Tolerance

BATCH_3 = {"x": ("float32", ["batch", 3])}
SIN = graph([helper.make_node("Sin", ["x"], ["y"])], BATCH_3, {"y": "float32"})


def sine(x: Array) -> Array:
    """Quiet about the infinities that the check tries."""
    with np.errstate(invalid="ignore"):
        result: Array = np.sin(x)
    return result


def sin_capture(function: Callable[..., Any] = sine, **reference: Any) -> Capture:
    return capture(SIN, FunctionReference(function, ["y"], **reference), {"x": randn(2, 3)})


def names(evidence: Evidence, result: str = "") -> list[str]:
    return [case.name for case in evidence.proof.cases if result in (case.result, "")]


def test_full_proof_tries_everything() -> None:
    evidence = check(sin_capture(), SIN)
    assert evidence.proof.level == "full"
    assert names(evidence) == [
        "example", "batch=1", "batch=3", "batch=131", "seed 1", "seed 2", "seed 3",
        "negatives", "zeros", "large values", "middling values", "small values", "tiny values", "round numbers",
        "not finite",
    ]  # fmt: skip
    assert evidence.dynamic == {"batch"}


def test_quick_proof_tries_the_example_one_other_size_and_one_seed() -> None:
    evidence = check(sin_capture(), SIN, proof="quick")
    assert evidence.proof.level == "quick"
    assert names(evidence) == ["example", "batch=3", "seed 1"]
    assert evidence.dynamic == {"batch"}


def test_no_proof_runs_nothing_and_believes_what_was_declared() -> None:
    def refuse(x: Array) -> Array:
        raise AssertionError("the source was run")

    evidence = check(sin_capture(refuse), SIN, proof="none")
    assert evidence == Evidence(Proof("none"), dynamic=frozenset({"batch"}))


def test_vectors_are_the_source_s_outputs_for_the_example_and_another_size() -> None:
    evidence = check(sin_capture(), SIN)
    assert [vectors.inputs["x"].shape for vectors in evidence.vectors] == [(2, 3), (1, 3)]
    for vectors in evidence.vectors:
        np.testing.assert_array_equal(vectors.outputs["y"], np.sin(vectors.inputs["x"]))


def test_large_vectors_are_not_stored_beside_the_example() -> None:
    made = capture(SIN, FunctionReference(lambda x: sine(x), ["y"]), {"x": randn(400_000, 3)})
    assert len(check(made, SIN, proof="quick").vectors) == 1


def test_a_set_that_the_source_refuses_is_undefined() -> None:
    def refuse_zeros(x: Array) -> Array:
        if not x.any():
            raise ValueError("no zeros, please\nsecond line")
        return sine(x)

    case = next(case for case in check(sin_capture(refuse_zeros), SIN).proof.cases if case.name == "zeros")
    assert (case.result, case.note) == ("undefined", "the source refuses: ValueError: no zeros, please")


def test_a_source_that_refuses_its_example_is_an_error() -> None:
    def refuse(x: Array) -> Array:
        raise ValueError("no")

    with pytest.raises(UsageError, match=r"refuses the example(.|\n)*ValueError: no"):
        check(sin_capture(refuse), SIN)


def test_a_source_that_takes_nothing_but_its_example_is_an_error() -> None:
    model = graph([helper.make_node("Sin", ["x"], ["y"])], {"x": ("float32", [2, 3])}, {"y": "float32"})
    example = randn(2, 3)

    def only_the_example(x: Array) -> Array:
        if not np.array_equal(x, example):
            raise ValueError("not mine")
        return sine(x)

    made = capture(model, FunctionReference(only_the_example, ["y"], has_float64=False), {"x": example})
    with pytest.raises(UsageError, match="no other input set than the example"):
        check(made, model)


def test_integers_of_unknown_use_are_held_when_the_source_refuses_others() -> None:
    inputs = {"shape": ("int64", [2]), "x": ("float32", [3])}
    nodes = [helper.make_node("Expand", ["x", "shape"], ["y"])]
    model = graph(nodes, inputs, {"y": "float32"})
    source = FunctionReference(lambda shape, x: np.broadcast_to(x, shape), ["y"])
    made = capture(model, source, {"shape": np.array([5, 3]), "x": randn(3)})
    assert not names(check(made, model), "undefined")


def test_a_size_that_the_source_refuses_is_replaced_by_another() -> None:
    def only_even(x: Array) -> Array:
        if len(x) % 2:
            raise ValueError("odd")
        return sine(x)

    evidence = check(sin_capture(only_even), SIN)
    assert evidence.dynamic == {"batch"}
    sized = {case.name: case.result for case in evidence.proof.cases if case.name.startswith("batch=")}
    long = {f"batch={size}": "undefined" for size in (131, 61, 31)}
    assert sized == {"batch=1": "undefined", "batch=3": "undefined", "batch=4": "equal", "batch=6": "equal"} | long


def test_a_dimension_that_the_source_itself_fixes_is_refused_when_asked_for() -> None:
    def only_two(x: Array) -> Array:
        if len(x) != 2:
            raise ValueError("two rows only")
        return sine(x)

    with pytest.raises(UsageError, match="'batch' was asked for as dynamic") as caught:
        check(sin_capture(only_two), SIN)
    assert "two rows only" in caught.value.where


def small_pool(length: int) -> Capture:
    """A kernel of 3: TensorFlow goes on with an empty result below it, and ends with arbitrary numbers."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[3]),
        helper.make_node("ReduceMean", ["p", "axis"], ["y"], keepdims=0),
    ]
    model = graph(nodes, {"x": ("float32", [2, 3, "time"])}, {"y": "float32"}, {"axis": np.array([2])})

    def pool(x: Array) -> Array:
        if x.shape[2] < 3:
            return np.arange(6, dtype=np.float32).reshape(2, 3)
        windows = np.lib.stride_tricks.sliding_window_view(x, 3, axis=2)
        result: Array = windows.mean(axis=(2, 3))
        return result

    return capture(model, FunctionReference(pool, ["y"]), {"x": randn(2, 3, length)})


def test_a_size_below_a_kernel_is_no_mismatch() -> None:
    made = small_pool(8)
    evidence = check(made, ir.serde.serialize_model(made.model))
    assert evidence.dynamic == {"time"}
    case = next(case for case in evidence.proof.cases if case.name == "time=1")
    assert case.result == "undefined"
    assert case.note.startswith("smaller than a kernel")


def test_an_example_below_a_kernel_is_an_error_that_says_so() -> None:
    made = small_pool(1)
    with pytest.raises(MismatchError, match=r"input set 'example'(.|\n)*Sizes too small"):
        check(made, ir.serde.serialize_model(made.model))


FROZEN = graph(
    [helper.make_node("Reshape", ["x", "shape"], ["y"])], BATCH_3, {"y": "float32"}, {"shape": np.array([2, 3])}
)


def test_a_frozen_dimension_that_nobody_asked_for_is_left_out_and_said() -> None:
    made = capture(FROZEN, FunctionReference(lambda x: x, ["y"]), {"x": randn(2, 3)})
    evidence = check_equivalence(made, Path("unused"), ConvertOptions(), load_model=stub_loader(FROZEN))
    assert evidence.dynamic == frozenset()
    assert "With batch=1 the package differs from the source" in evidence.proof.notes[0]


def test_quick_proof_names_the_one_frozen_dimension_of_several() -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    model = graph(nodes, {"x": ("float32", ["batch", "seq"])}, {"y": "float32"}, {"shape": np.array([-1, 5])})
    made = capture(model, FunctionReference(lambda x: x, ["y"]), {"x": randn(2, 5)})
    with pytest.raises(MismatchError, match="The dimension 'seq' cannot be dynamic"):
        check(made, model, proof="quick")


def test_dimensions_that_are_one_in_truth_are_tried_together() -> None:
    nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
    inputs = {"a": ("float32", ["n", 3]), "b": ("float32", ["m", 3])}
    model = graph(nodes, inputs, {"y": "float32"})

    def add(a: Array, b: Array) -> Array:
        if a.shape != b.shape:
            raise ValueError("shapes differ")
        result: Array = a + b
        return result

    made = capture(model, FunctionReference(add, ["y"]), {"a": randn(2, 3), "b": randn(2, 3)})
    evidence = check(made, model)
    assert evidence.dynamic == {"n", "m"}
    assert "n=3, m=3" in names(evidence, "equal")


def test_axes_of_unknown_size_are_varied_too() -> None:
    made = sin_capture()
    made.inputs["x"] = type(made.inputs["x"])("x", "float32", (None, 3))  # type: ignore[call-arg]
    assert check_equivalence(made, Path("unused"), ConvertOptions(), load_model=stub_loader(SIN)).dynamic == {"x[0]"}


def test_the_user_s_tolerance_counts() -> None:
    def slightly_off(x: Array) -> Array:
        result: Array = sine(x) + np.float32(1e-3)
        return result

    with pytest.raises(MismatchError, match="atol 1e-05"):
        check(sin_capture(slightly_off), SIN)
    assert check(sin_capture(slightly_off), SIN, atol=2e-3).proof.level == "full"
    with pytest.raises(MismatchError, match="atol 1e-06"):
        check(sin_capture(lambda x: sine(x) + np.float32(5e-6)), SIN, atol=1e-6, rtol=0.0)


class LeakingRunner(StubRunner):
    """Counts its calls into its outputs, as a graph with state would."""

    calls = 0

    def run(self, output_names: Any, feed: Any) -> list[Array]:
        self.calls += 1
        return [output + np.float32(1e-7 * self.calls) for output in super().run(output_names, feed)]


class WritingRunner(StubRunner):
    def run(self, output_names: Any, feed: Any) -> list[Array]:
        outputs = super().run(output_names, feed)
        feed["x"][...] = 0
        return outputs


@pytest.mark.parametrize(("runner", "message"), [(LeakingRunner, "called again"), (WritingRunner, "changed the input")])
def test_state_that_leaks_and_inputs_that_change_are_caught(runner: type[StubRunner], message: str) -> None:
    made = sin_capture()
    with pytest.raises(MismatchError, match=message):
        check_equivalence(
            made, Path("unused"), ConvertOptions(), load_model=lambda path, component, optimize: runner(SIN, optimize)
        )


def test_a_wrong_optimisation_is_caught_and_blamed() -> None:
    cos = graph([helper.make_node("Cos", ["x"], ["y"])], BATCH_3, {"y": "float32"})
    with pytest.raises(MismatchError, match=r"optimisations on\)(.|\n)*blame: an optimisation"):
        check_equivalence(
            sin_capture(),
            Path("unused"),
            ConvertOptions(),
            load_model=lambda path, component, optimize: StubRunner(cos if optimize else SIN, optimize),
        )


class NoisyReference:
    """A source with rounding of its own, far above the tolerance but far below the outputs."""

    def __init__(self, noise: float, *, has_float64: bool) -> None:
        self.noise, self.has_float64 = noise, has_float64

    def run(self, feed: Feed) -> dict[str, Array]:
        x = feed["x"]
        # Depends on the last bits of the input, as rounding does, and on nothing else.
        wobble = (x.view(np.int32).astype(np.int64) * 2654435761 % 1024 / 1024 - 0.5).astype(np.float32)
        return {"y": (1000 * sine(x.astype(np.float64)) + self.noise * wobble).astype(np.float32)}

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        return {"y": 1000 * sine(feed["x"].astype(np.float64))} if self.has_float64 else None


LOUD = graph(
    [helper.make_node("Sin", ["x"], ["s"]), helper.make_node("Mul", ["s", "k"], ["y"])],
    BATCH_3,
    {"y": "float32"},
    {"k": np.float32(1000)},
)


@pytest.mark.parametrize("has_float64", [True, False])
def test_noise_of_the_source_is_measured_and_recorded(has_float64: bool) -> None:
    made = capture(LOUD, NoisyReference(0.1, has_float64=has_float64), {"x": randn(64, 3)})
    evidence = check(made, LOUD)
    example = evidence.proof.cases[0]
    assert example.result == "noise"
    assert ("float64" if has_float64 else "inputs moved by one ULP") in example.note
    assert any("as near the truth as" in note for note in evidence.proof.notes)
    assert set(evidence.tolerances) <= {"y"}
    for vectors in evidence.vectors:
        ours = 1000 * np.sin(vectors.inputs["x"].astype(np.float64))
        bound = evidence.tolerances.get("y", Tolerance(1.3e-6, 1e-5))
        allowed = bound.atol + bound.rtol * np.abs(vectors.outputs["y"]) + bound.noise
        assert (np.abs(ours - vectors.outputs["y"]) <= allowed).all()


def test_a_fault_above_the_source_s_noise_is_caught() -> None:
    faulty = onnx.ModelProto()
    faulty.CopyFrom(LOUD)
    faulty.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.float32(1002), "k"))
    made = capture(faulty, NoisyReference(0.1, has_float64=True), {"x": randn(64, 3)})
    with pytest.raises(MismatchError, match="outside the source's own noise"):
        check(made, faulty)


def test_a_source_that_drowns_in_its_own_noise_shows_nothing() -> None:
    made = capture(LOUD, NoisyReference(400.0, has_float64=True), {"x": randn(64, 3)})
    with pytest.raises(UsageError, match="rounding error is too large to show anything"):
        check(made, LOUD)


def test_a_real_package_is_checked_and_its_vectors_verify(tmp_path: Path) -> None:
    made = sin_capture()

    def pack(proof: Proof, evidence: Evidence | None = None) -> Package:
        interface = Interface("main", made.inputs, made.outputs, {"y": Tolerance(1.3e-6, 1e-5)}, made.source, proof)
        vectors = evidence.vectors if evidence else ()
        return Package("sin", (Component("main", interface, made.model, vectors),))

    scratch = pack(Proof("none")).save(tmp_path / "scratch.tload")
    evidence = check_equivalence(made, scratch, ConvertOptions())
    path = pack(evidence.proof, evidence).save(tmp_path / "sin.tload")
    (verification,) = verify(path)
    assert verification.passed
    assert len(verification.sets) == 2
