"""Every command and program in README and docs runs, in one folder, in the order of the page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from transload.cli import main
from transload.convert.options import DEFAULT_OPSET
from transload.serialize import open_package

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "docs/commands.md",
    "docs/compare.md",
    "docs/debug.md",
    "docs/torchscript.md",
    "docs/modules.md",
    "docs/tensorflow.md",
    "docs/transformers.md",
    "docs/tuning.md",
)

FACTORY = '''
"""A token tagger."""

import torch


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 8)
        self.linear = torch.nn.Linear(8, 4)

    def forward(self, tokens):
        return self.linear(self.embedding(tokens))


class Codec(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.decode(self.encode(x))

    @torch.jit.export
    def encode(self, x):
        return self.linear(x)

    @torch.jit.export
    def decode(self, code):
        return code @ self.linear.weight


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count += 1
        return x + self.count


def make_tagger():
    torch.manual_seed(0)
    return Tagger().eval()
'''


def blocks(page: str, language: str) -> Iterator[str]:
    text = (ROOT / page).read_text()
    yield from re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every file that the pages name; the current folder while the tests run."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "my_models.py").write_text(FACTORY)
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        make_torch_files(folder)
        make_transformers_folders(folder)
        make_tensorflow_files(folder)
        np.savez(folder / "in.npz", tokens=np.array([[1, 2, 3], [4, 5, 6]]))
        make_keys(folder)
        np.savez(folder / "long.npz", tokens=np.array([[1, 2, 3, 4]]))
        yield folder
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))


def make_keys(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "maker.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "maker.pub").write_bytes(public)


def make_torch_files(folder: Path) -> None:
    import my_models
    import safetensors.torch
    import torch

    model = my_models.make_tagger()
    torch.jit.script(model).save(str(folder / "tagger.pt"))
    torch.jit.script(my_models.Codec().eval()).save(str(folder / "codec.pt"))
    torch.jit.script(my_models.Counter().eval()).save(str(folder / "counter.pt"))
    safetensors.torch.save_file(model.state_dict(), folder / "tagger.safetensors")
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.zeros(2, 3, dtype=torch.int64),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "tagger.pt2")


def make_transformers_folders(folder: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    bert = transformers.BertConfig(**sizes, num_attention_heads=2, max_position_embeddings=32)
    transformers.BertForSequenceClassification(bert).save_pretrained(folder / "my-classifier")
    llama = transformers.LlamaConfig(**sizes, num_attention_heads=2, max_position_embeddings=32)
    transformers.LlamaForCausalLM(llama).save_pretrained(folder / "my-decoder")


def make_tensorflow_files(folder: Path) -> None:
    from transload.convert.tensorflow.framework import tf

    import keras  # isort: skip
    import tf2onnx  # isort: skip

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,), name="x"), keras.layers.Dense(3)])
    model.save(folder / "scorer.keras")
    model.export(str(folder / "saved_model"), verbose=False)
    make_further_tensorflow_files(folder, model)
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 6], name="x")
        tf.nn.relu(x, name="y")
    (folder / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    tf2onnx.convert.from_graph_def(
        graph.as_graph_def(),
        input_names=["x:0"],
        output_names=["y:0"],
        opset=DEFAULT_OPSET,
        output_path=str(folder / "scorer.onnx"),
    )


def make_further_tensorflow_files(folder: Path, model: Any) -> None:
    from transload.convert.tensorflow.framework import silence, tf

    import keras  # isort: skip

    image = keras.Input((8, 6, 3), name="image")
    keras.Model(image, keras.layers.Conv2D(4, 3)(image)).save(folder / "images.keras")
    with silence():
        (folder / "scorer.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    module = tf.Module()
    module.table = tf.Variable(tf.ones([20, 4]))
    ids = [tf.TensorSpec([None], tf.int32, name="ids")]
    rows = tf.function(lambda ids: {"rows": tf.gather(module.table, ids)}, input_signature=ids)
    sums = tf.function(lambda ids: {"sums": tf.reduce_sum(tf.gather(module.table, ids), 0)}, input_signature=ids)
    tf.saved_model.save(module, str(folder / "two_signatures"), signatures={"rows": rows, "sums": sums})
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.nn.softmax(tf.matmul(x, v1.get_variable("w", [4, 3])), name="scores")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "checkpoint" / "model.ckpt"))
        builder = v1.saved_model.Builder(str(folder / "old_model"))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()


@pytest.mark.parametrize("page", PAGES)
def test_every_transload_command_of_the_page_runs(page: str, workspace: Path) -> None:
    commands = [
        shlex.split(line, comments=True)
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("transload ")
    ]
    assert commands
    for command in commands:
        result = CliRunner().invoke(main, command[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{shlex.join(command)}: {result.output}"
    for name in {word for command in commands for word in command if word.endswith(".tload")}:
        assert open_package(workspace / name, integrity="sha256").component_names


@pytest.mark.parametrize("page", PAGES)
def test_every_python_program_of_the_page_runs(page: str, workspace: Path) -> None:
    for block in blocks(page, "python"):
        names: dict[str, object] = {"ids": np.array([[1, 2, 3]])}
        exec(compile(block, page, "exec"), names)
        if page == "docs/torchscript.md":
            assert [np.asarray(names[name]).tolist() for name in ("first", "second")] == [[[2.0, 2.0]], [[3.0, 3.0]]]
        elif page == "docs/transformers.md":
            assert np.asarray(names["logits"]).shape == (2, 1, 30) if "logits" in names else len(names["labels"]) == 2
        elif "second" in names:
            # The first call begins where `model(heard)` did, the second where the first ended.
            first, second = np.asarray(names["first"]), np.asarray(names["second"])
            assert first.shape == second.shape == (2, 4)
            assert np.abs(first - second).max() > 0.001
        else:
            assert np.asarray(names["logits"]).shape == (1, 3, 4)


def test_the_readme_s_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", "".join(blocks("README.md", "sh")), re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_readme_s_extras_exist() -> None:
    metadata = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"transload\[(\w+)\]", "".join(blocks("README.md", "sh")))
    assert set(extras) == {"torch", "tensorflow", "sign"}
    assert all(re.search(rf"^{extra} = ", metadata, re.MULTILINE) for extra in extras)


@pytest.mark.parametrize(
    "page", [path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]]
)
def test_every_link_of_the_page_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_the_demo_runs_and_prints_its_figures() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "samples/demo.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for figure in ("package", "conversion", "peak memory", "load", "proof"):
        assert len(re.findall(rf"^{figure} +[\d.]+ ", done.stdout, re.MULTILINE)) == 2, figure
    assert all(float(error) < 1e-3 for error in re.findall(r"largest error ([\d.e+-]+)", done.stdout))
    ranking = re.findall(r"^  [+-]\d\.\d+  (.*)$", done.stdout, re.MULTILINE)
    assert len(ranking) == 5
    # A person would put the three sentences about bread before the two about anything else.
    assert {sentence.split()[0] for sentence in ranking[:3]} == {"Store", "Freezing", "A"}
    assert "class " in done.stdout
