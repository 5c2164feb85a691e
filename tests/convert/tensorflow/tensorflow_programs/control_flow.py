"""Loops, branches, maps, scans and the arrays that they fill."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorflow_programs.program import built, floats, integers, program
from transload.convert.tensorflow.framework import tf

WEIGHT = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32) * 0.5


@program(floats("x", None, 4), integers("n"), example={"n": 3})
def while_loop(x: Any, n: Any) -> Any:
    return tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, tf.tanh(y @ WEIGHT)), (0, x))[1]


@program(floats("x", None, 4))
def while_loop_until_converged(x: Any) -> Any:
    return tf.while_loop(lambda y: tf.reduce_max(tf.abs(y)) > 0.5, lambda y: (y * 0.5,), (tf.clip_by_value(x, -8, 8),))


@program(floats("x", None, 4))
def while_loop_that_grows(x: Any) -> Any:
    start = (0, x[:, :1])
    shapes = (tf.TensorShape([]), tf.TensorShape([None, None]))

    def step(i: Any, y: Any) -> Any:
        return i + 1, tf.concat([y, y[:, -1:] * x[:, i + 1 : i + 2]], axis=1)

    return tf.while_loop(lambda i, y: i < 3, step, start, shape_invariants=shapes)[1]


@program(floats("x", None, 4), integers("n"), example={"n": 2})
def nested_while_loops(x: Any, n: Any) -> Any:
    def outer(i: Any, y: Any) -> Any:
        _, y = tf.while_loop(lambda j, z: j <= i, lambda j, z: (j + 1, z * 0.5 + x), (0, y))
        return i + 1, y

    return tf.while_loop(lambda i, y: i < n, outer, (0, x))[1]


@program(floats("x", None, 4))
def loop_with_break(x: Any) -> Any:
    total = tf.zeros_like(x[0])
    for row in x:
        if tf.reduce_sum(row) > 2.0:
            break
        total += row
    return total


@program(floats("x", None, 4), integers("n"), example={"n": 2})
def loop_with_maximum_iterations(x: Any, n: Any) -> Any:
    return tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y + 1.0), (0, x), maximum_iterations=5)[1]


@program(floats("x", None, 4))
def cond(x: Any) -> Any:
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * 2.0, lambda: x - 1.0)


@program(floats("x", None, 4))
def cond_of_two_results(x: Any) -> Any:
    positive = tf.reduce_sum(x) > 0.0
    return tf.cond(positive, lambda: (x, tf.reduce_max(x, 0)), lambda: (tf.nn.relu(x), tf.reduce_min(x, 0)))


@program(floats("x", None, 4))
def nested_cond(x: Any) -> Any:
    total = tf.reduce_sum(x)
    return tf.cond(total > 0.0, lambda: tf.cond(total > 3.0, lambda: x * 3.0, lambda: x * 2.0), lambda: -x)


@program(floats("x", None, 4), integers("n"), example={"n": 3})
def cond_inside_a_loop(x: Any, n: Any) -> Any:
    def step(i: Any, y: Any) -> Any:
        return i + 1, tf.cond(i % 2 == 0, lambda: y + x, lambda: y * 0.5)

    return tf.while_loop(lambda i, y: i < n, step, (0, x))[1]


@program(floats("x", None, 4), integers("n"), example={"n": 1})
def switch_case(x: Any, n: Any) -> Any:
    return tf.switch_case(n, [lambda: x, lambda: x * 2.0, lambda: x[:, ::-1]], default=lambda: -x)


@program(floats("x", None, 4))
def case(x: Any) -> Any:
    total = tf.reduce_sum(x)
    return tf.case([(total > 3.0, lambda: x * 3.0), (total > 0.0, lambda: x * 2.0)], default=lambda: x)


@program(floats("x", None, 4))
def map_fn(x: Any) -> Any:
    return tf.map_fn(lambda row: tf.nn.softmax(row) * tf.reduce_max(row), x)


@program(floats("x", None, 4), integers("n", None), example={"n": [1, 3]})
def map_fn_of_two(x: Any, n: Any) -> Any:
    kinds = (tf.TensorSpec([4], tf.float32), tf.TensorSpec([], tf.int32))
    return tf.map_fn(
        lambda pair: (pair[0] * tf.cast(pair[1], tf.float32), pair[1] + 1), (x, n), fn_output_signature=kinds
    )


@program(floats("x", None, 3, 4))
def nested_map_fn(x: Any) -> Any:
    return tf.map_fn(lambda rows: tf.map_fn(lambda row: row / (1.0 + tf.reduce_sum(tf.abs(row))), rows), x)


@program(floats("x", None, 4))
def vectorized_map(x: Any) -> Any:
    return tf.vectorized_map(lambda row: row * tf.reduce_sum(row), x)


@program(floats("x", None, 4))
def scan(x: Any) -> Any:
    return tf.scan(lambda total, row: total * 0.5 + row, x)


@program(floats("x", None, 4))
def scan_in_reverse(x: Any) -> Any:
    return tf.scan(lambda total, row: tf.maximum(total, row), x, initializer=tf.zeros([4]), reverse=True)


@program(floats("x", None, 4))
def scan_of_two(x: Any) -> Any:
    start = (tf.zeros([4]), tf.constant(0))
    return tf.scan(lambda state, row: (state[0] + row, state[1] + 1), x, initializer=start)


@program(floats("x", None, 4))
def folds(x: Any) -> Any:
    return tf.foldl(lambda a, b: a * 0.5 + b, x), tf.foldr(lambda a, b: a * 0.5 + b, x)


@program(floats("x", None, 4))
def tensor_array_write_and_stack(x: Any) -> Any:
    count = tf.shape(x)[0]
    array = tf.TensorArray(tf.float32, size=count)

    def step(i: Any, array: Any) -> Any:
        return i + 1, array.write(i, x[count - 1 - i] * 2.0)

    return tf.while_loop(lambda i, array: i < count, step, (0, array))[1].stack()


@program(floats("x", None, 4))
def tensor_array_unstack_and_read(x: Any) -> Any:
    array = tf.TensorArray(tf.float32, size=tf.shape(x)[0]).unstack(x)
    total = tf.zeros([4])
    for i in tf.range(tf.shape(x)[0]):
        total = total * 0.5 + array.read(i)
    return total


@program(floats("x", None, 4))
def tensor_array_that_grows(x: Any) -> Any:
    array = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
    for i in tf.range(tf.shape(x)[0]):
        array = array.write(i, x[i] + 1.0)
    return array.stack()


@program(floats("x", 3, 4))
def tensor_array_concat(x: Any) -> Any:
    array = tf.TensorArray(tf.float32, size=3)
    for i in range(3):
        array = array.write(i, x[i : i + 1] * float(i + 1))
    return array.concat()


@program(floats("x", 3, 4))
def tensor_array_gather_and_scatter(x: Any) -> Any:
    array = tf.TensorArray(tf.float32, size=3).scatter([2, 0, 1], x)
    return array.gather([0, 2])


@program(floats("x", None, 4), integers("n"), example={"n": 3})
def tensor_array_updated_in_place(x: Any, n: Any) -> Any:
    array = tf.TensorArray(tf.float32, size=2, clear_after_read=False).unstack(tf.stack([x, x * 2.0]))

    def step(i: Any, array: Any) -> Any:
        return i + 1, array.write(i % 2, array.read(i % 2) + array.read((i + 1) % 2))

    return tf.while_loop(lambda i, array: i < n, step, (0, array))[1].stack()


@program(floats("x", None, 4))
def tensor_list_push_and_pop(x: Any) -> Any:
    handle = tf.raw_ops.EmptyTensorList(element_shape=[4], max_num_elements=-1, element_dtype=tf.float32)
    handle = tf.raw_ops.TensorListPushBack(input_handle=handle, tensor=x[0])
    handle = tf.raw_ops.TensorListPushBack(input_handle=handle, tensor=x[-1])
    handle, last = tf.raw_ops.TensorListPopBack(input_handle=handle, element_shape=[4], element_dtype=tf.float32)
    handle = tf.raw_ops.TensorListPushBack(input_handle=handle, tensor=last * 2.0)
    length = tf.raw_ops.TensorListLength(input_handle=handle)
    stacked = tf.raw_ops.TensorListStack(input_handle=handle, element_shape=[4], element_dtype=tf.float32)
    return stacked, length


@program(floats("x", None, 4))
def greedy_decoding(x: Any) -> Any:
    """A beam-less decoder: feeds its own choice back until the end or five steps."""
    table = tf.constant(np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32))
    batch = tf.shape(x)[0]
    start = (0, tf.zeros([batch], tf.int32), x, tf.TensorArray(tf.int32, size=5))

    def step(i: Any, token: Any, state: Any, found: Any) -> Any:
        state = tf.tanh(state @ WEIGHT + tf.gather(table, token))
        token = tf.argmax(tf.matmul(state, table, transpose_b=True), axis=-1, output_type=tf.int32)
        return i + 1, token, state, found.write(i, token)

    _, _, state, found = tf.while_loop(lambda i, *rest: i < 5, step, start)
    return tf.transpose(found.stack()), state


@program(floats("x", None, 4))
def range_loop_with_continue(x: Any) -> Any:
    total = tf.zeros_like(x)
    for i in tf.range(4):
        if i % 2 == 1:
            continue
        total += x * tf.cast(i + 1, tf.float32)
    return total


@program(floats("x", None, 4))
def early_return(x: Any) -> Any:
    if tf.reduce_sum(x) > 0.0:
        return x * 2.0
    return x - 1.0


@built(floats("x", None, 4))
def variables_in_a_loop() -> Any:
    weight = tf.Variable(WEIGHT)

    def run(x: Any) -> Any:
        for _ in tf.range(3):
            x = tf.tanh(x @ weight)
        return x

    return run


@program(floats("x", None, 4))
def called_function(x: Any) -> Any:
    @tf.function
    def inner(a: Any) -> Any:
        return tf.cond(tf.reduce_sum(a) > 0.0, lambda: a * 2.0, lambda: a)

    return inner(x) + inner(-x)


@program(floats("x", None, 4))
def gradient_inside(x: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(tf.tanh(x @ WEIGHT) ** 2)
    return tape.gradient(y, x)


@program(floats("x", None, 4))
def assertion(x: Any) -> Any:
    with tf.control_dependencies([tf.debugging.assert_rank(x, 2), tf.debugging.assert_all_finite(x, "finite")]):
        return tf.identity(x) * 2.0
