"""TorchScript files without source: control flow, structures, optional inputs, dynamic dimensions, what is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import transload as tl
from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.source import Source, SourceKind
from transload.convert.torch.torchscript import capture
from transload.serialize.errors import SourceError, UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict, List, Nothing, Tuple
from transload.serialize.interface import Tensor as Leaf


class Sums(torch.nn.Module):
    """A branch on the data, a loop over the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 2.0) -> Tensor:
        y = self.linear(x) * scale
        if mask is not None:
            y = y * mask
        total = torch.zeros(3)
        for index in range(y.size(0)):
            if bool(y[index].sum() > 0):
                total = total + y[index]
            else:
                total = total - 2 * y[index]
                total = total + 0.5
        return total


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


class Structured(torch.nn.Module):
    def forward(
        self, batch: dict[str, Tensor], more: list[Tensor], pair: tuple[Tensor, Tensor]
    ) -> tuple[dict[str, Tensor], list[Tensor], Pair, Tensor | None, Tensor | None]:
        a, b = batch["a"], batch["b"]
        return {"sum": a + b, "x": a}, [more[0] * 2, more[1]], Pair(pair[0], pair[1] + a), a - b, None


class Tokens(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(10, 6)
        self.norm = torch.nn.LayerNorm(6)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.dropout(self.norm(self.table(tokens)))
        weight = mask.unsqueeze(-1).float()
        return hidden, (hidden * weight).sum(1) / weight.sum(1)


def save(module: torch.nn.Module, folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "model.pt"
    torch.jit.script(module).save(str(path))
    return path


def capture_file(path: Path, *specs: str, **options: Any) -> Capture:
    inputs = tuple(parse_input_spec(spec) for spec in specs)
    [result] = capture(Source(SourceKind.TORCHSCRIPT, path), ConvertOptions(inputs=inputs, **options))
    return result


def random(*shape: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_branches_and_loops_follow_the_data(tmp_path: Path, assert_agrees: Any) -> None:
    module = Sums().eval()
    result = capture_file(save(module, tmp_path), "x[n,4]")
    for size in (1, 2, 5):
        x = random(size, 4, seed=size)
        assert_agrees(result, {"x": x}, {"output": module(torch.from_numpy(x)).detach()})


def test_parameters_left_out_are_none_or_constants(tmp_path: Path) -> None:
    result = capture_file(save(Sums(), tmp_path), "x[n,4]")
    assert result.inputs == {"x": Leaf("x", "float32", ("n", 4)), "mask": Nothing(), "scale": Constant(2.0)}
    assert result.outputs == Leaf("output", "float32", (3,))
    assert result.component == "forward"


def test_an_optional_tensor_that_is_given_becomes_an_input(tmp_path: Path, assert_agrees: Any) -> None:
    module = Sums().eval()
    result = capture_file(save(module, tmp_path), "x[n,4]", "mask[n,1]")
    x, mask = random(5, 4), random(5, 1, seed=2)
    expected = module(torch.from_numpy(x), torch.from_numpy(mask)).detach()
    assert_agrees(result, {"x": x, "mask": mask}, {"output": expected})


def test_a_number_in_the_example_sets_a_constant(tmp_path: Path, assert_agrees: Any) -> None:
    module = Sums().eval()
    x = random(3, 4)
    result = capture_file(save(module, tmp_path), example={"x": x, "scale": np.array(-0.5)})
    assert result.inputs["scale"] == Constant(-0.5)
    assert_agrees(result, {"x": x}, {"output": module(torch.from_numpy(x), scale=-0.5).detach()})


def test_nested_inputs_and_outputs_keep_their_structure(tmp_path: Path, assert_agrees: Any) -> None:
    module = Structured()
    names = ["batch/a", "batch/b", "more/0", "more/1", "pair/0", "pair/1"]
    result = capture_file(save(module, tmp_path), *(f"{name}[n,2]" for name in names))
    arrays = [random(3, 2, seed=seed) for seed in range(6)]
    a, b, c, d, e, f = map(torch.from_numpy, arrays)
    assert_agrees(
        result,
        dict(zip(names, arrays, strict=True)),
        {
            "output_0/sum": a + b,
            "output_0/x": a,
            "output_1/0": c * 2,
            "output_1/1": d,
            "output_2/left": e,
            "output_2/right": f + a,
            "output_3": a - b,
        },
    )

    def leaf(name: str) -> Leaf:
        return Leaf(name, "float32", ("n", 2))

    assert result.inputs["batch"] == Dict({"a": leaf("batch/a"), "b": leaf("batch/b")})
    assert result.inputs["pair"] == Tuple((leaf("pair/0"), leaf("pair/1")))
    assert result.outputs == Tuple(
        (
            Dict({"sum": leaf("output_0/sum"), "x": leaf("output_0/x")}),
            List((leaf("output_1/0"), leaf("output_1/1"))),
            Tuple((leaf("output_2/left"), leaf("output_2/right")), fields=("left", "right"), name="Pair"),
            leaf("output_3"),
            Nothing(),
        )
    )


def test_a_traced_file_takes_other_batches_and_lengths(tmp_path: Path, assert_agrees: Any) -> None:
    torch.manual_seed(3)
    module = Tokens().eval()
    example = (torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.int64))
    path = tmp_path / "traced.pt"
    torch.jit.trace(module, example).save(str(path))
    result = capture_file(path, "tokens:int64[batch,seq]", "mask:int64[batch,seq]")
    assert [value.shape for value in result.model.graph.inputs] == [("batch", "seq")] * 2
    assert result.outputs == Tuple(
        (Leaf("output_0", "float32", ("batch", "seq", 6)), Leaf("output_1", "float32", ("batch", 6)))
    )
    rng = np.random.default_rng(0)
    for shape in ((1, 5), (3, 2), (2, 7)):
        tokens = rng.integers(0, 10, shape)
        mask = np.ones(shape, np.int64)
        hidden, pooled = module(torch.from_numpy(tokens), torch.from_numpy(mask))
        assert_agrees(
            result, {"tokens": tokens, "mask": mask}, {"output_0": hidden.detach(), "output_1": pooled.detach()}
        )


def test_dropout_is_off_even_if_the_file_was_saved_in_training_mode(tmp_path: Path, assert_agrees: Any) -> None:
    module = Tokens().train()
    result = capture_file(save(module, tmp_path), "tokens:int64[batch,seq]", "mask:int64[batch,seq]")
    module.eval()
    tokens, mask = np.array([[1, 2, 9]]), np.array([[1, 1, 0]])
    hidden, pooled = module(torch.from_numpy(tokens), torch.from_numpy(mask))
    assert_agrees(result, {"tokens": tokens, "mask": mask}, {"output_0": hidden.detach(), "output_1": pooled.detach()})


def test_a_script_module_in_memory_stays_as_it_was(assert_agrees: Any) -> None:
    script = torch.jit.script(Sums()).train()
    options = ConvertOptions(inputs=(parse_input_spec("x[n,4]"),))
    [result] = capture(Source(SourceKind.TORCHSCRIPT, value=script), options)
    x = random(3, 4)
    assert script.training
    assert_agrees(result, {"x": x}, {"output": script(torch.from_numpy(x)).detach()})


def test_a_batch_of_one_in_the_example_does_not_freeze_the_batch(tmp_path: Path, assert_agrees: Any) -> None:
    module = Sums().eval()
    result = capture_file(save(module, tmp_path), "x[n,4]", example={"x": random(1, 4)})
    x = random(6, 4)
    assert_agrees(result, {"x": x}, {"output": module(torch.from_numpy(x)).detach()})


def test_float64_runs_with_weights_and_inputs_in_float64(tmp_path: Path) -> None:
    module = Sums().eval()
    result = capture_file(save(module, tmp_path), "x[n,4]")
    x = random(3, 4)
    wide = result.reference.run_float64({"x": x})
    assert wide is not None
    expected = module.double()
    torch.set_default_dtype(torch.float64)
    try:
        truth = expected(torch.from_numpy(x).double()).detach().numpy()
    finally:
        torch.set_default_dtype(torch.float32)
    assert wide["output"].dtype == np.float64
    np.testing.assert_array_equal(wide["output"], truth)
    assert torch.get_default_dtype() == torch.float32
    assert result.reference.run({"x": x})["output"].dtype == np.float32


def test_a_source_that_cannot_run_in_float64_says_so(tmp_path: Path) -> None:
    class Fixed(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.mm(x, torch.ones(4, 4, dtype=torch.float32))

    result = capture_file(save(Fixed(), tmp_path), "x[n,4]")
    assert result.reference.run_float64({"x": random(2, 4)}) is None
    assert torch.get_default_dtype() == torch.float32


def test_inputs_must_be_described(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)x: Tensor, mask: Optional\[Tensor\] = None, scale.*--input"):
        capture_file(save(Sums(), tmp_path))


def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)no parameter 'input'.*x: Tensor, mask"):
        capture_file(save(Sums(), tmp_path), "input[n,4]")


def test_a_missing_parameter_is_named_with_its_type(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"without a value: more: List\[Tensor\], pair: Tuple\[Tensor, Tensor\]"):
        capture_file(save(Structured(), tmp_path), "batch/a[n,2]", "batch/b[n,2]")


def test_an_example_that_the_source_refuses_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)fails on the example.*x: float32\[2, 5\]"):
        capture_file(save(Sums(), tmp_path), "x[n,5]")


def test_every_unsupported_operator_is_listed_with_its_place(tmp_path: Path) -> None:
    class Strange(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.bernoulli(x.sigmoid())
            if bool(x.sum() > 0):
                y = torch.poisson(y)
            return y + torch.linalg.eigvals(torch.outer(x, x)).real

    with pytest.raises(UnsupportedError) as caught:
        capture_file(save(Strange(), tmp_path), "x[n]")
    operations = {operation.name: operation.location for operation in caught.value.operations}
    assert set(operations) == {"aten::bernoulli", "aten::poisson", "aten::linalg_eigvals"}
    assert "test_torchscript.py" in operations["aten::poisson"]
    assert "torch.poisson(y)" in operations["aten::poisson"]


def test_a_number_of_outputs_that_depends_on_sizes_is_refused(tmp_path: Path) -> None:
    class Slices(torch.nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            out: list[Tensor] = []
            for index in range(x.size(0)):
                out.append(x[index])
            return out

    with pytest.raises(UnsupportedError, match="number of tensors"):
        capture_file(save(Slices(), tmp_path), "x[n,2]")


def test_a_size_returned_as_a_number_is_refused(tmp_path: Path) -> None:
    class Size(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, int]:
            return x * 2, x.size(0)

    with pytest.raises(UnsupportedError, match="Python number"):
        capture_file(save(Size(), tmp_path), "x[n,2]")


class Running(torch.nn.Module):
    """Buffers changed in place and replaced by longer ones, numbers counted up."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2))
        self.register_buffer("past", torch.zeros(0, 2))
        self.register_buffer("fixed", torch.ones(2))
        self.calls, self.weight = 0, 1.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        self.weight = self.weight / 2
        self.total[1:] += x.sum()
        self.past = torch.cat([self.past, x])
        return (x + self.fixed) * self.weight + self.calls, self.past.sum(0) + self.total


def test_attributes_that_forward_changes_become_state(tmp_path: Path) -> None:
    result = capture_file(save(Running().eval(), tmp_path), "x[n,2]")
    assert {state.name: state.input for state in result.state} == {
        "total": Leaf("total", "float32", (2,)),
        "past": Leaf("past", "float32", ("past_dim0", 2)),
        "calls": Leaf("calls", "int64", ()),
        "weight": Leaf("weight", "float64", ()),
    }
    assert [state.output.name for state in result.state] == [f"{state.name}_next" for state in result.state]
    assert result.example["past"].shape == (0, 2)
    np.testing.assert_array_equal(result.example["calls"], np.int64(0))


def test_the_source_gives_the_same_for_the_same_state_however_often_it_is_asked(tmp_path: Path) -> None:
    result = capture_file(save(Running().eval(), tmp_path), "x[n,2]")
    first = result.reference.run(result.example)
    again = result.reference.run(result.example)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert first["calls_next"] == 1
    later = result.reference.run(result.example | {"calls": np.int64(7)})
    assert later["calls_next"] == 8


def test_a_stream_of_a_package_goes_on_as_the_source_does(tmp_path: Path) -> None:
    path = save(Running().eval(), tmp_path)
    package = tl.convert_model(path, inputs=["x[n,2]"])
    package.save(tmp_path / "running.tload")
    model, source = tl.load(tmp_path / "running.tload"), torch.jit.load(str(path))
    one, other = model.stream(), model.stream()
    for seed, size in enumerate((3, 1, 4)):
        x = random(size, 2, seed=seed)
        for ours, theirs in zip(one(x), source(torch.from_numpy(x)), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(other(x)[0], model(x)[0])
    one.reset()
    np.testing.assert_array_equal(one(x)[1], model(x)[1])


def test_state_that_changes_its_kind_is_refused(tmp_path: Path) -> None:
    class Lazy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = torch.jit.Attribute(None, Tensor | None)

        def forward(self, x: Tensor) -> Tensor:
            self.seen = x
            return x + 1

    with pytest.raises(UnsupportedError, match="attribute 'seen', which is NoneType before the first call"):
        capture_file(save(Lazy().eval(), tmp_path), "x[n,2]")


class Codec(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 300)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        return self.linear(x)

    @torch.jit.export
    def decode(self, code: Tensor) -> Tensor:
        return code @ self.linear.weight


def test_methods_become_components_that_share_their_weights(tmp_path: Path) -> None:
    path = save(Codec().eval(), tmp_path)
    package = tl.convert_model(path, inputs=["x[n,4]", "code[n,300]"], methods=["encode", "decode"])
    package.save(tmp_path / "codec.tload")
    with zipfile.ZipFile(tmp_path / "codec.tload") as file:
        data = [name for name in file.namelist() if name.endswith(".data")]
    assert len(data) == 1
    x = random(3, 4)
    source = torch.jit.load(str(path))
    code = tl.load(tmp_path / "codec.tload", "encode")(x)
    np.testing.assert_allclose(code, source.encode(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-5)
    back = tl.load(tmp_path / "codec.tload", "decode")(code)
    np.testing.assert_allclose(back, source(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_all_methods_take_inputs_by_their_names(tmp_path: Path) -> None:
    options = ConvertOptions(
        inputs=tuple(map(parse_input_spec, ("x[n,4]", "decode.code[batch,300]"))), all_methods=True
    )
    found = capture(Source(SourceKind.TORCHSCRIPT, save(Codec().eval(), tmp_path)), options)
    assert {each.component: list(each.example) for each in found} == {
        "forward": ["x"],
        "encode": ["x"],
        "decode": ["code"],
    }


def test_a_method_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)no method 'embed'.*forward.*encode"):
        capture_file(save(Codec().eval(), tmp_path), "x[n,4]", methods=("embed",))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = save(Sums(), tmp_path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(SourceError, match="cannot be read"):
        capture_file(path, "x[n,4]")


def test_an_opset_that_the_exporter_does_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opset 25"):
        capture_file(save(Sums(), tmp_path), "x[n,4]", opset=25)


def test_the_requested_opset_is_written(tmp_path: Path) -> None:
    result = capture_file(save(Sums(), tmp_path), "x[n,4]", opset=17)
    assert result.model.opset_imports[""] == 17


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(Sums(), tmp_path)
    capfd.readouterr()
    capture_file(path, "x[n,4]")
    assert capfd.readouterr() == ("", "")


def test_inputs_that_are_unused_and_outputs_that_are_inputs_stay(tmp_path: Path, assert_agrees: Any) -> None:
    class Passes(torch.nn.Module):
        def forward(self, x: Tensor, unused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            y = x + 1
            return x, y, y

    result = capture_file(save(Passes(), tmp_path), "x[n]", "unused[m,2]")
    x = random(3)
    y = torch.from_numpy(x) + 1
    feed = {"x": x, "unused": random(5, 2)}
    assert_agrees(result, feed, {"output_0": torch.from_numpy(x), "output_1": y, "output_2": y})


def test_the_reference_still_runs_after_the_exporter_has_rewritten_functions(
    tmp_path: Path, assert_agrees: Any
) -> None:
    class Resized(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)
            self.norm = torch.nn.BatchNorm2d(4)

        def forward(self, image: Tensor) -> Tensor:
            return torch.nn.functional.interpolate(self.norm(self.conv(image)), scale_factor=2.0, mode="bilinear")

    module = Resized().eval()
    result = capture_file(save(module, tmp_path), "image[batch,3,height,width]")
    assert [value.shape for value in result.model.graph.inputs] == [("batch", 3, "height", "width")]
    image = random(1, 3, 9, 6)
    assert_agrees(result, {"image": image}, {"output": module(torch.from_numpy(image)).detach()})


def test_sizes_that_the_exporter_cannot_follow_are_named_by_what_the_source_returns(tmp_path: Path) -> None:
    class Kept(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            rows = x
            for _ in range(2):
                rows = rows + 1
            return rows, rows[x[:, 0] != 0]

    result = capture_file(save(Kept(), tmp_path), "x[n,2]")
    assert [value.shape[0] for value in result.model.graph.outputs if value.shape] == ["n", "output_1_dim0"]


def test_a_loop_over_time_in_a_scripted_lstm_takes_other_lengths(tmp_path: Path, assert_agrees: Any) -> None:
    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(4, 3, batch_first=True, bidirectional=True)

        def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            return self.lstm(x)

    module = Recurrent().eval()
    result = capture_file(save(module, tmp_path), "x[batch,time,4]")
    for shape in ((1, 2, 4), (3, 8, 4)):
        x = random(*shape)
        out, (hidden, cell) = module(torch.from_numpy(x))
        expected = {"output_0": out, "output_1/0": hidden, "output_1/1": cell}
        assert_agrees(result, {"x": x}, {name: value.detach() for name, value in expected.items()})


@pytest.mark.parametrize(
    ("old", "new"), [(b"torch.add", b"torch.\x80dd"), (b"def forward", b"def for\xffard"), (b"training", b"drafting")]
)
def test_a_file_that_torch_cannot_even_complain_of_is_damaged(tmp_path: Path, old: bytes, new: bytes) -> None:
    class Net(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    whole, spoiled = tmp_path / "whole.pt", tmp_path / "spoiled.pt"
    torch.jit.script(Net()).save(str(whole))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(spoiled, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(old, new))
    with pytest.raises(SourceError, match="cannot be read"):
        capture(Source(SourceKind.TORCHSCRIPT, spoiled), ConvertOptions(inputs=(parse_input_spec("x[2,2]"),)))
