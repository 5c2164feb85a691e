"""Writes small sources for the fuzzer of conversions: `python convert_seeds.py KIND FOLDER`.

Each file's name is `NAME.SUFFIX`; beside it lies `NAME.inputs`, the `--input` options of its conversion, one a line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


def write(folder: Path, name: str, data: bytes, *inputs: str) -> None:
    """A seed and its options."""
    (folder / name).write_bytes(data)
    (folder / name).with_suffix(".inputs").write_text("".join(f"{each}\n" for each in inputs))


def graph_defs(folder: Path) -> None:
    """Frozen graphs: layers, convolutions, control flow of both kinds, indexing."""
    import numpy as np
    import tensorflow as tf

    v1 = tf.compat.v1
    numbers = np.random.default_rng(5)

    def weight(*shape: int) -> np.ndarray:
        return numbers.standard_normal(shape).astype(np.float32)

    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        hidden = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, weight(4, 5)), weight(5)))
        tf.nn.softmax(tf.matmul(hidden, weight(5, 3)), name="y")
        tf.split(hidden, 5, axis=1, name="parts")
    write(folder, "dense.pb", graph.as_graph_def().SerializeToString())

    with tf.Graph().as_default() as graph:
        image = v1.placeholder(tf.float32, [None, 8, 8, 2], name="image")
        y = tf.nn.conv2d(image, weight(3, 3, 2, 4), strides=1, padding="SAME")
        y, _, _ = v1.nn.fused_batch_norm(y, weight(4), weight(4), weight(4), weight(4) ** 2, is_training=False)
        y = tf.nn.avg_pool2d(tf.nn.relu6(y), 2, 2, "VALID")
        tf.matmul(tf.reshape(y, [-1, 64]), weight(64, 2), name="y")
    write(folder, "convolution.pb", graph.as_graph_def().SerializeToString())

    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        ids = v1.placeholder(tf.int32, [None], name="ids")
        rows = tf.gather(weight(6, 3), tf.clip_by_value(ids, 0, 5))
        joined = tf.concat([x[:, ::-1], tf.transpose(tf.transpose(rows)), tf.one_hot(ids, 3)], axis=1)
        values, _ = tf.math.top_k(joined, 2)
        tf.where(tf.reduce_sum(values, axis=1) > 0, tf.cast(ids, tf.float32), tf.reduce_mean(x, axis=1), name="y")
    write(folder, "indexing.pb", graph.as_graph_def().SerializeToString())

    @tf.function
    def loop(x: tf.Tensor) -> tf.Tensor:
        total = tf.zeros_like(x)
        for step in tf.range(tf.shape(x)[0]):
            total += x[step] * tf.cast(step, tf.float32)
        if tf.reduce_sum(total) > 0:
            total = tf.sin(total)
        return tf.identity(total, name="y")

    concrete = loop.get_concrete_function(tf.TensorSpec([None, 3], tf.float32, "x"))
    write(folder, "functions.pb", concrete.graph.as_graph_def().SerializeToString())


def torchscripts(folder: Path) -> None:
    """Traced and scripted modules: layers, convolutions, control flow, lists and dicts."""
    import io

    import torch

    torch.manual_seed(5)

    def save(module: torch.jit.ScriptModule) -> bytes:
        file = io.BytesIO()
        torch.jit.save(module, file)
        return file.getvalue()

    class Branches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            parts: list[torch.Tensor] = []
            for step in range(x.size(0)):
                parts.append(self.layer(x[step]) * step)
            total = torch.stack(parts)
            if bool(total.sum() > 0):
                total = total * 2
            while bool(total.max() > 10):
                total = total / 2
            return {"total": total, "last": parts[-1]}

    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.LSTM(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states, _ = self.cell(x)
            return states.mean(dim=0)

    class Indexing(torch.nn.Module):
        def forward(self, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y = x.clone()
            y[:, 1:3] = y[:, :2] + 1
            y.mul_(2)
            chosen = torch.nn.functional.embedding(ids, y)
            return torch.cat([chosen, chosen.flip(0)], dim=1).transpose(0, 1), y.view(-1).topk(2).values

    dense = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.GELU(), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))
    image = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    )
    write(folder, "dense.pt", save(torch.jit.trace(dense.eval(), torch.zeros(2, 4))), "input:float32[batch,4]")
    write(folder, "image.pt", save(torch.jit.script(image.eval())), "input:float32[batch,2,8,8]")
    write(folder, "recurrent.pt", save(torch.jit.script(Recurrent().eval())), "x:float32[time,1,3]")
    write(folder, "branches.pt", save(torch.jit.script(Branches().eval())), "x:float32[batch,4]")
    write(folder, "indexing.pt", save(torch.jit.script(Indexing().eval())), "x:float32[rows,4]", "ids:int64[n]")


KINDS: dict[str, Callable[[Path], None]] = {"graph_def": graph_defs, "torchscript": torchscripts}


def main(kind: str, folder: str) -> None:
    """Write the seeds of a kind."""
    KINDS[kind](Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
