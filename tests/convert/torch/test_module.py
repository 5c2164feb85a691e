"""Modules through torch.export: structures, dynamic dimensions, factories with weights, and what is refused."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.source import Source, SourceKind
from transload.convert.torch.module import capture
from transload.serialize.errors import SourceError, UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict, List, Nothing, Tuple
from transload.serialize.interface import Tensor as Leaf


class Structured(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 4)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, batch: Any, *, scale: float = 2.0, mask: Any = None, extra: Any = None) -> Any:
        y = self.dropout(self.linear(batch["x"])) * scale
        if mask is not None:
            y = y * mask
        return {"y": y, "nothing": None, "count": 3, "more": (y + 1, [batch["x"]]), "again": y}


class Tagger(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(10, 6)
        self.lstm = torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.lstm(self.table(tokens))[0]
        return result


def make_linear() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())


def make_nothing() -> None:
    return None


def make_with(argument: int) -> torch.nn.Module:
    return torch.nn.Linear(argument, 1)


def capture_module(
    module: Any, *specs: str, args: Any = (), kwargs: Any = None, way: str = "export", **options: Any
) -> Capture:
    inputs = tuple(parse_input_spec(spec) for spec in specs)
    source = Source(SourceKind.TORCH_MODULE, None, module, args, kwargs)
    [alternatives] = capture(source, ConvertOptions(inputs=inputs, **options))
    return alternatives.ways[way]()


def random(*shape: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_nested_inputs_keywords_and_outputs_keep_their_structure(assert_agrees: Any) -> None:
    module = Structured()
    x = {"x": torch.zeros(3, 4), "unused": torch.zeros(2)}
    result = capture_module(
        module, "batch/x[batch,4]", "mask[batch,1]", args=(x,), kwargs={"mask": torch.ones(3, 1), "scale": 3.0}
    )
    assert result.inputs == {
        "batch": Dict({"x": Leaf("batch/x", "float32", ("batch", 4)), "unused": Leaf("batch/unused", "float32", (2,))}),
        "scale": Constant(3.0),
        "mask": Leaf("mask", "float32", ("batch", 1)),
        "extra": Nothing(),
    }

    def leaf(name: str) -> Leaf:
        return Leaf(name, "float32", ("batch", 4))

    assert result.outputs == Dict(
        {
            "y": leaf("y"),
            "nothing": Nothing(),
            "count": Constant(3),
            "more": Tuple((leaf("more/0"), List((leaf("more/1/0"),)))),
            "again": leaf("again"),
        }
    )
    module.eval()
    for size in (1, 5):
        feed = {"batch/x": random(size, 4), "batch/unused": random(2), "mask": random(size, 1, seed=2)}
        value = module({"x": torch.from_numpy(feed["batch/x"])}, scale=3.0, mask=torch.from_numpy(feed["mask"]))
        y, (more, [same]) = value["y"].detach(), value["more"]
        assert_agrees(result, feed, {"y": y, "more/0": more.detach(), "more/1/0": same, "again": y})


def test_the_modules_own_mode_is_kept_and_eval_is_used(assert_agrees: Any) -> None:
    module = Structured().train()
    module.linear.eval()
    result = capture_module(module, "batch/x[batch,4]")
    assert (module.training, module.linear.training, module.dropout.training) == (True, False, True)
    x = random(3, 4)
    y = (module.linear(torch.from_numpy(x)) * 2).detach()
    expected = {"y": y, "more/0": y + 1, "more/1/0": torch.from_numpy(x), "again": y}
    assert_agrees(result, {"batch/x": x}, expected)
    assert (module.training, module.linear.training, module.dropout.training) == (True, False, True)


def test_weights_in_the_graph_are_the_modules_own_memory() -> None:
    module = Structured()
    result = capture_module(module, "batch/x[batch,4]")
    weight = result.model.graph.initializers["linear.weight"].const_value
    assert weight is not None
    assert weight.numpy().ctypes.data == module.linear.weight.data_ptr()


def test_a_recurrent_module_takes_other_lengths(assert_agrees: Any) -> None:
    module = Tagger().eval()
    result = capture_module(module, "tokens:int64[batch,seq]")
    assert result.outputs == Leaf("output", "float32", ("batch", "seq", 10))
    for shape in ((1, 3), (4, 9)):
        tokens = np.random.default_rng(0).integers(0, 10, shape)
        assert_agrees(result, {"tokens": tokens}, {"output": module(torch.from_numpy(tokens)).detach()})


def test_a_batch_of_one_in_the_example_does_not_freeze_the_batch(assert_agrees: Any) -> None:
    module = make_linear()
    result = capture_module(module, "input[n,3]", args=(torch.zeros(1, 3),))
    x = random(7, 3)
    assert_agrees(result, {"input": x}, {"output": module(torch.from_numpy(x)).detach()})


def test_a_dataclass_comes_back_as_a_dict() -> None:
    @dataclasses.dataclass
    class Result:
        logits: Tensor
        loss: Tensor | None = None

    class Model(torch.nn.Module):
        def forward(self, x: Tensor) -> Result:
            return Result(x * 2)

    result = capture_module(Model(), "x[n,3]")
    assert result.outputs == Dict({"logits": Leaf("logits", "float32", ("n", 3)), "loss": Nothing()})


def test_the_size_of_an_output_is_told_by_the_inputs_sizes() -> None:
    class Doubled(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.cat([x, x]), torch.nonzero(x)

    result = capture_module(Doubled(), "x[n,3]")
    assert result.outputs == Tuple(
        (Leaf("output_0", "float32", ("2*n", 3)), Leaf("output_1", "int64", ("output_1_dim0", 2)))
    )


def test_a_dimension_that_the_module_fixes_is_an_error() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[0] == 2:
                return x * 2
            return x.reshape(-1, 3) * 3

    with pytest.raises(UnsupportedError, match=r"(?s)fixed by the module's code: 'x' has size 2 on axis 0.*--input"):
        capture_module(Fixed(), "x[n,3]")


def test_two_names_for_what_is_always_equal_are_noted() -> None:
    class Sum(torch.nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    result = capture_module(Sum(), "x[n,3]", "y[m,3]", example={"x": random(3, 3), "y": random(3, 3)})
    assert [value.shape for value in result.model.graph.inputs] == [("n", 3), ("n", 3)]
    assert result.notes == ("The source takes equal sizes for 'n' and 'm'; both are called 'n'.",)


def test_every_unsupported_operator_is_listed_with_its_place() -> None:
    class Strange(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.linalg.eigvalsh(x)
            return y + torch.erfinv(x).sum()

    with pytest.raises(UnsupportedError) as caught:
        capture_module(Strange(), "x[4,4]")
    operations = {operation.name: operation.location for operation in caught.value.operations}
    assert set(operations) == {"aten._linalg_eigh.default", "prims.erf_inv.default"}
    assert re.search(r"test_module\.py:\d+: y = torch\.linalg\.eigvalsh\(x\)", operations["aten._linalg_eigh.default"])
    assert re.search(r"test_module\.py:\d+: return y", operations["prims.erf_inv.default"])


def test_code_that_torch_cannot_trace_is_named_with_its_line() -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.sum() > 0:
                return x
            return x * 2

    with pytest.raises(UnsupportedError, match=r"test_module\.py:\d+ in forward: if x\.sum\(\) > 0"):
        capture_module(Branch(), "x[3]")


def test_float64_is_computed_by_a_copy() -> None:
    module = make_linear()
    result = capture_module(module, "input[n,3]")
    x = random(2, 3)
    wide = result.reference.run_float64({"input": x})
    assert wide is not None and wide["output"].dtype == np.float64
    weight, bias = (value.detach().numpy().astype(np.float64) for value in module.parameters())
    np.testing.assert_allclose(wide["output"], np.maximum(x.astype(np.float64) @ weight.T + bias, 0), rtol=1e-14)
    assert {value.dtype for value in module.parameters()} == {torch.float32}


def test_a_feed_is_not_changed_by_a_module_that_writes_to_its_input() -> None:
    class Writes(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mul_(2)

    result = capture_module(Writes(), "x[n]")
    x = np.ones(3, np.float32)
    assert result.reference.run({"x": x})["output"].tolist() == [2, 2, 2]
    assert x.tolist() == [1, 1, 1]


def test_bfloat16_inputs_and_outputs_keep_their_bits() -> None:
    class Negated(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return -x

    result = capture_module(Negated(), "x:bfloat16[n]")
    assert result.outputs == Leaf("output", "bfloat16", ("n",))
    x = np.array([1.5, -0.0, np.inf, 3e38]).astype(result.example["x"].dtype)
    output = result.reference.run({"x": x})["output"]
    assert output.dtype == x.dtype
    np.testing.assert_array_equal(output.view(np.uint16), x.view(np.uint16) ^ 0x8000)


def test_complex_outputs_are_refused() -> None:
    class Spectrum(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.rfft(x)

    with pytest.raises(UnsupportedError, match="complex64"):
        capture_module(Spectrum(), "x[8]")


def test_inputs_must_be_described() -> None:
    with pytest.raises(UsageError, match=r"(?s)input: .*Tensor.*--input"):
        capture_module(torch.nn.Linear(3, 2))


def test_a_name_that_forward_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"(?s)no parameter 'x'.*input: .*Tensor"):
        capture_module(torch.nn.Linear(3, 2), "x[n,3]")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("other[n,3]", r"no input 'other'"),
        ("input:float16[n,3]", "described as float16"),
        ("input[n]", "described with 1 dimensions"),
        ("input[n,4]", "described with 4 on axis 1"),
        ("input[n,n]", "'n' at 2 .* but at 3"),
    ],
)
def test_a_description_that_does_not_fit_the_example_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        capture_module(torch.nn.Linear(3, 2), spec, args=(torch.zeros(2, 3),))


FACTORY = """
import torch
def make():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 3, bias=False)
            self.second = torch.nn.Linear(3, 3)
            self.second.weight = self.first.weight
        def forward(self, x):
            return self.second(self.first(x))
    return Tied()

def make_without_memory():
    with torch.device("meta"):
        return make()

def make_with_a_table():
    module = make_without_memory()
    module.register_buffer("table", torch.zeros(3, device="meta"), persistent=False)
    return module
"""


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The dotted name of a factory that lies in the current folder and nowhere else."""
    name = f"factory_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    return f"{name}:make"


def test_a_factory_gets_its_weights_from_a_file(factory: str, tmp_path: Path, assert_agrees: Any) -> None:
    weight, bias = torch.from_numpy(random(3, 3, seed=5)), torch.from_numpy(random(3, seed=6))
    save_file({"second.weight": weight, "second.bias": bias}, tmp_path / "weights.safetensors")
    result = capture_module(factory, "x[n,3]", weights=tmp_path / "weights.safetensors")
    x = random(4, 3)
    expected = torch.from_numpy(x) @ weight.T @ weight.T + bias
    assert_agrees(result, {"x": x}, {"output": expected})


def test_a_module_without_memory_gets_it_from_the_weights_and_stays_tied(
    factory: str, tmp_path: Path, assert_agrees: Any
) -> None:
    weight, bias = torch.from_numpy(random(3, 3, seed=5)), torch.from_numpy(random(3, seed=6))
    save_file({"second.weight": weight, "second.bias": bias}, tmp_path / "weights.safetensors")
    result = capture_module(
        factory.replace("make", "make_without_memory"), "x[n,3]", weights=tmp_path / "weights.safetensors"
    )
    x = random(4, 3)
    expected = torch.from_numpy(x) @ weight.T @ weight.T + bias
    assert_agrees(result, {"x": x}, {"output": expected})


def test_a_module_without_memory_is_refused_without_weights(factory: str) -> None:
    with pytest.raises(UsageError, match=r"without values \(on the meta device\): first.weight, second.bias"):
        capture_module(factory.replace("make", "make_without_memory"), "x[n,3]")


def test_a_buffer_without_memory_that_no_file_holds_is_named(factory: str, tmp_path: Path) -> None:
    save_file({"second.weight": torch.eye(3), "second.bias": torch.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(UsageError, match=r"without values \(on the meta device\): table\."):
        capture_module(factory.replace("make", "make_with_a_table"), "x[n,3]", weights=tmp_path / "weights.safetensors")


def test_weights_that_do_not_fit_are_listed(factory: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"first.weight": torch.zeros(2, 3), "third.bias": torch.zeros(3)}, path)
    with pytest.raises(UsageError) as caught:
        capture_module(factory, "x[n,3]", weights=path)
    text = str(caught.value)
    assert "unexpected: third.bias" in text
    assert "missing: second.bias" in text
    assert "missing: second.weight" not in text
    assert "shape of first.weight: [2, 3] in the file, [3, 3] in the module" in text


def test_a_damaged_weights_file_is_refused(factory: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(SourceError, match="damaged"):
        capture_module(factory, "x[n,3]", weights=path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package:make", "Cannot import 'no_such_package'"),
        ("torch.nn:NoSuchModule", "torch.nn has no 'NoSuchModule'"),
        ("torch.nn:Linear", "cannot be called without arguments"),
        ("collections:OrderedDict", "gave a OrderedDict, not a torch.nn.Module"),
    ],
)
def test_a_factory_that_gives_no_module_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        capture_module(name, "x[n,3]")


def test_a_pickle_is_read_only_if_it_is_trusted(tmp_path: Path, assert_agrees: Any) -> None:
    module = torch.nn.Linear(3, 2)
    path = tmp_path / "module.pt"
    torch.save(module, path)
    source = Source(SourceKind.TORCH_MODULE, path)
    inputs = (parse_input_spec("input[n,3]"),)
    with pytest.raises(SourceError, match="--trust-source"):
        capture(source, ConvertOptions(inputs=inputs))
    [alternatives] = capture(source, ConvertOptions(inputs=inputs, trust_source=True))
    result = alternatives.ways["trace"]()
    x = random(4, 3)
    assert_agrees(result, {"input": x}, {"output": module(torch.from_numpy(x)).detach()})


def test_a_trusted_pickle_of_weights_is_no_module(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(UsageError, match="holds a dict, not a module"):
        capture(Source(SourceKind.TORCH_MODULE, path), ConvertOptions(trust_source=True))


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    capture_module(Structured(), "batch/x[batch,4]")
    assert capfd.readouterr() == ("", "")


def test_positional_arguments_without_names_are_numbered(assert_agrees: Any) -> None:
    class Sum(torch.nn.Module):
        def forward(self, first: Tensor, *others: Tensor, scale: float = 1.0) -> Tensor:
            for other in others:
                first = first + other * scale
            return first

    tensors = tuple(torch.from_numpy(random(3, seed=seed)) for seed in range(3))
    result = capture_module(Sum(), args=tensors, kwargs={"scale": 2.0})
    assert list(result.inputs) == ["first", "others_0", "others_1", "scale"]
    feed = dict(zip(["first", "others_0", "others_1"], (tensor.numpy() for tensor in tensors), strict=True))
    assert_agrees(result, feed, {"output": tensors[0] + 2 * tensors[1] + 2 * tensors[2]})


def test_a_decorated_forward_is_called_as_the_user_calls_it() -> None:
    def add_flag(forward: Any) -> Any:
        @functools.wraps(forward)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            return forward(self, *args, flag=True, **kwargs)

        return wrapped

    class Decorated(torch.nn.Module):
        @add_flag
        def forward(self, x: Tensor, flag: bool = False, scale: float = 2.0) -> Tensor:
            return x * scale if flag else x

    result = capture_module(Decorated(), "x[3]")
    assert list(result.inputs.items())[1:] == [("flag", Constant(False)), ("scale", Constant(2.0))]
    assert result.reference.run({"x": np.ones(3, np.float32)})["output"].tolist() == [2, 2, 2]


def test_an_input_named_like_a_value_inside_the_graph_is_no_trouble(assert_agrees: Any) -> None:
    class Clash(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add = torch.nn.Parameter(torch.ones(3))

        def forward(self, relu: Tensor) -> dict[str, Tensor]:
            return {"add": torch.relu(relu) + self.add, "relu": relu}

    result = capture_module(Clash(), "relu[n,3]")
    x = random(2, 3)
    expected = {"add": torch.relu(torch.from_numpy(x)) + 1, "relu_out": torch.from_numpy(x)}
    assert_agrees(result, {"relu": x}, expected)
