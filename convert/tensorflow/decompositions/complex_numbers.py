"""Arithmetic with complex numbers as arithmetic with their real and imaginary parts.

What is left complex are Fourier transforms: each takes `Complex(real, imag)` and gives to `Real` and `Imag`, and is
written as ONNX in `operators/fourier.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transload.convert.tensorflow.decompositions.registry import Complex, complex_decomposition, decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError


def _both(value: Complex, function: Callable[[Any], Any]) -> Complex:
    return Complex(function(value.real), function(value.imag))


@complex_decomposition("Const")
def const(op: Any) -> Complex:
    value = tf.make_ndarray(op.get_attr("value"))
    return Complex(tf.constant(value.real), tf.constant(value.imag))


@complex_decomposition("Placeholder")
def placeholder(op: Any) -> Any:
    raise UnsupportedError("An input holds complex numbers, which ONNX does not have.")


@complex_decomposition("Complex")
def complex_(op: Any, real: Any, imag: Any) -> Complex:
    # Both parts have the shape of the whole.
    zeros = tf.zeros_like(real + imag) if real.shape != imag.shape or not real.shape.is_fully_defined() else None
    return Complex(real, imag) if zeros is None else Complex(real + zeros, imag + zeros)


@complex_decomposition("Real")
def real(op: Any, value: Any) -> Any:
    return value.real


@complex_decomposition("Imag")
def imag(op: Any, value: Any) -> Any:
    return value.imag


@complex_decomposition("ComplexAbs", "Abs")
def absolute(op: Any, value: Complex) -> Any:
    # Scaled, as hypot does, so that squares neither overflow nor vanish.
    larger = tf.maximum(tf.abs(value.real), tf.abs(value.imag))
    scale = tf.where(tf.logical_and(larger > 0, tf.math.is_finite(larger)), larger, tf.ones_like(larger))
    return scale * tf.sqrt(tf.square(value.real / scale) + tf.square(value.imag / scale))


@complex_decomposition("Angle")
def angle(op: Any, value: Complex) -> Any:
    return tf.atan2(value.imag, value.real)


@decomposition("Angle")
def angle_of_real(op: Any, value: Any) -> Any:
    return tf.atan2(tf.zeros_like(value), value)


@complex_decomposition("Cast")
def cast(op: Any, value: Any) -> Any:
    target = op.outputs[0].dtype
    if not isinstance(value, Complex):
        number = tf.cast(value, target.real_dtype)
        return Complex(number, tf.zeros_like(number))
    if target.is_complex:
        return _both(value, lambda part: tf.cast(part, target.real_dtype))
    return tf.cast(value.real, target)


@complex_decomposition("Conj")
def conj(op: Any, value: Complex) -> Complex:
    return Complex(value.real, -value.imag)


@complex_decomposition("Add", "AddV2")
def add(op: Any, x: Complex, y: Complex) -> Complex:
    return Complex(x.real + y.real, x.imag + y.imag)


@complex_decomposition("AddN")
def add_n(op: Any, *values: Complex) -> Complex:
    return Complex(tf.add_n([each.real for each in values]), tf.add_n([each.imag for each in values]))


@complex_decomposition("Sub")
def subtract(op: Any, x: Complex, y: Complex) -> Complex:
    return Complex(x.real - y.real, x.imag - y.imag)


def _product(x: Complex, y: Complex) -> Complex:
    return Complex(x.real * y.real - x.imag * y.imag, x.real * y.imag + x.imag * y.real)


@complex_decomposition("Mul")
def multiply(op: Any, x: Complex, y: Complex) -> Complex:
    return _product(x, y)


@complex_decomposition("Square")
def square(op: Any, x: Complex) -> Complex:
    return _product(x, x)


def _quotient(x: Complex, y: Complex) -> Complex:
    size = y.real * y.real + y.imag * y.imag
    product = _product(x, Complex(y.real, -y.imag))
    return Complex(product.real / size, product.imag / size)


@complex_decomposition("RealDiv", "Div")
def divide(op: Any, x: Complex, y: Complex) -> Complex:
    return _quotient(x, y)


@complex_decomposition("DivNoNan")
def divide_no_nan(op: Any, x: Complex, y: Complex) -> Complex:
    is_zero = tf.logical_and(tf.equal(y.real, 0), tf.equal(y.imag, 0))
    safe = Complex(tf.where(is_zero, tf.ones_like(y.real), y.real), y.imag)
    return _both(_quotient(x, safe), lambda part: tf.where(is_zero, tf.zeros_like(part), part))


@complex_decomposition("Reciprocal", "Inv")
def reciprocal(op: Any, x: Complex) -> Complex:
    return _quotient(Complex(tf.ones_like(x.real), tf.zeros_like(x.imag)), x)


@complex_decomposition("Neg")
def negative(op: Any, x: Complex) -> Complex:
    return Complex(-x.real, -x.imag)


@complex_decomposition("Exp")
def exp(op: Any, x: Complex) -> Complex:
    size = tf.exp(x.real)
    return Complex(size * tf.cos(x.imag), size * tf.sin(x.imag))


@complex_decomposition("Log")
def log(op: Any, x: Complex) -> Complex:
    return Complex(tf.math.log(absolute(op, x)), angle(op, x))


@complex_decomposition("Sqrt")
def sqrt(op: Any, x: Complex) -> Complex:
    size = absolute(op, x)
    larger = tf.sqrt((size + tf.abs(x.real)) * 0.5)
    smaller = tf.where(larger > 0, tf.abs(x.imag) / tf.where(larger > 0, 2.0 * larger, tf.ones_like(larger)), larger)
    positive = x.real >= 0
    imag_part = tf.where(positive, smaller, larger)
    # As C99 has it: an infinite imaginary part makes both infinite, whatever the real one; else the smaller is 0.
    real_part = _for_infinite(x, tf.where(positive, larger, smaller), positive)
    imag_part = _for_infinite(x, imag_part, tf.logical_not(positive))
    return Complex(real_part, tf.where(x.imag < 0, -imag_part, imag_part))


def _for_infinite(x: Complex, root: Any, is_larger: Any) -> Any:
    """The size of one part of a square root, put right where a part of `x` is infinite."""
    infinity = tf.fill(tf.shape(root), tf.constant(float("inf"), root.dtype))
    root = tf.where(tf.math.is_inf(x.real), tf.where(is_larger, infinity, tf.zeros_like(root) * x.imag), root)
    return tf.where(tf.math.is_inf(x.imag), infinity, root)


@complex_decomposition("Pow")
def power(op: Any, x: Complex, y: Complex) -> Complex:
    return exp(op, _product(log(op, x), y))


@complex_decomposition("Equal")
def equal(op: Any, x: Complex, y: Complex) -> Any:
    return tf.logical_and(tf.equal(x.real, y.real), tf.equal(x.imag, y.imag))


@complex_decomposition("NotEqual")
def not_equal(op: Any, x: Complex, y: Complex) -> Any:
    return tf.logical_not(equal(op, x, y))


@complex_decomposition("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def matmul(op: Any, x: Complex, y: Complex) -> Complex:
    def prepared(value: Complex, side: str) -> Complex:
        known = op.node_def.attr
        if f"transpose_{side}" in known and known[f"transpose_{side}"].b:
            return _both(value, tf.linalg.matrix_transpose)
        if f"adj_{side}" in known and known[f"adj_{side}"].b:
            flipped = _both(value, tf.linalg.matrix_transpose)
            return Complex(flipped.real, -flipped.imag)
        return value

    sides = ("a", "b") if op.type == "MatMul" else ("x", "y")
    x, y = prepared(x, sides[0]), prepared(y, sides[1])
    real_part = tf.matmul(x.real, y.real) - tf.matmul(x.imag, y.imag)
    imag_part = tf.matmul(x.real, y.imag) + tf.matmul(x.imag, y.real)
    # TensorFlow's kernel multiplies the result by 1 + 0i, so that an infinite part makes the other one NaN.
    return Complex(real_part - imag_part * 0.0, imag_part + real_part * 0.0)


@complex_decomposition("Einsum")
def einsum(op: Any, *values: Complex) -> Complex:
    equation = op.get_attr("equation").decode()
    if len(values) == 1:
        return _both(values[0], lambda part: tf.einsum(equation, part))
    x, y = values
    return Complex(
        tf.einsum(equation, x.real, y.real) - tf.einsum(equation, x.imag, y.imag),
        tf.einsum(equation, x.real, y.imag) + tf.einsum(equation, x.imag, y.real),
    )


@complex_decomposition("Prod")
def refuse_product(op: Any, value: Complex, axes: Any) -> Complex:
    raise UnsupportedError("Products of complex numbers along an axis are not translated.")


@complex_decomposition("Where")
def refuse_where(op: Any, value: Complex) -> Any:
    raise UnsupportedError("The places of complex numbers that are not zero are not translated.")


# Operations that move numbers, or add them up, do so with each part.


@complex_decomposition("Identity", "StopGradient", "Snapshot", "PreventGradient", "EnsureShape")
def identity(op: Any, value: Complex) -> Complex:
    return value


@complex_decomposition("Shape")
def shape(op: Any, value: Complex) -> Any:
    return tf.shape(value.real, out_type=op.get_attr("out_type"))


@complex_decomposition("Size")
def size(op: Any, value: Complex) -> Any:
    return tf.size(value.real, out_type=op.get_attr("out_type"))


@complex_decomposition("Rank")
def rank(op: Any, value: Complex) -> Any:
    return tf.rank(value.real)


@complex_decomposition("ZerosLike")
def zeros_like(op: Any, value: Complex) -> Complex:
    return _both(value, tf.zeros_like)


@complex_decomposition("OnesLike")
def ones_like(op: Any, value: Complex) -> Complex:
    return Complex(tf.ones_like(value.real), tf.zeros_like(value.imag))


@complex_decomposition("ConjugateTranspose")
def conjugate_transpose(op: Any, value: Complex, order: Any) -> Complex:
    return Complex(tf.transpose(value.real, order), -tf.transpose(value.imag, order))


@complex_decomposition(
    "BatchToSpaceND",
    "BroadcastTo",
    "ConcatV2",
    "Cumsum",
    "ExpandDims",
    "Fill",
    "Gather",
    "GatherNd",
    "GatherV2",
    "MatrixDiagPartV3",
    "MatrixDiagV3",
    "Mean",
    "MirrorPad",
    "Pack",
    "Pad",
    "PadV2",
    "Reshape",
    "ResourceGather",
    "ReverseV2",
    "Roll",
    "ScatterNd",
    "SelectV2",
    "Slice",
    "SpaceToBatchND",
    "Split",
    "SplitV",
    "Squeeze",
    "StridedSlice",
    "Sum",
    "TensorScatterAdd",
    "TensorScatterUpdate",
    "Tile",
    "Transpose",
    "Unpack",
    "UnsortedSegmentSum",
)
def part_by_part(op: Any, *inputs: Any) -> Any:
    # Both parts have the types of real numbers where the whole has those of complex ones.
    attrs = _attributes(op)
    for name, value in attrs.items():
        if value.type in (tf.complex64.as_datatype_enum, tf.complex128.as_datatype_enum):
            attrs[name] = type(value)(type=tf.as_dtype(value.type).real_dtype.as_datatype_enum)
    dtypes = [tensor.dtype.real_dtype if tensor.dtype.is_complex else tensor.dtype for tensor in op.outputs]
    parts = [
        _run(op, [getattr(each, part) if isinstance(each, Complex) else each for each in inputs], dtypes, attrs)
        for part in ("real", "imag")
    ]
    return [Complex(one, other) for one, other in zip(*parts, strict=True)]


def _attributes(op: Any) -> dict[str, Any]:
    return {name: value for name, value in op.node_def.attr.items() if not name.startswith("_")}


def _run(op: Any, inputs: list[Any], dtypes: list[Any], attrs: dict[str, Any]) -> list[Any]:
    """The outputs of an operation of the same type on other inputs."""
    return list(tf.compat.v1.get_default_graph().create_op(op.type, inputs, dtypes, attrs=attrs).outputs)


# Fourier transforms stay, between a Complex and a Real and an Imag.

COMPLEX_TRANSFORMS = ("FFT", "FFT2D", "FFT3D", "IFFT", "IFFT2D", "IFFT3D")
REAL_TRANSFORMS = ("RFFT", "RFFT2D", "RFFT3D")
TRANSFORMS_TO_REAL = ("IRFFT", "IRFFT2D", "IRFFT3D")
TRANSFORMS = frozenset({*COMPLEX_TRANSFORMS, *REAL_TRANSFORMS, *TRANSFORMS_TO_REAL})


def _transform(op: Any, value: Any, *rest: Any) -> Any:
    """The transform itself; of a complex tensor it takes the `Complex` operation."""
    whole = tf.complex(value.real, value.imag) if isinstance(value, Complex) else value
    (result,) = _run(op, [whole, *rest], [op.outputs[0].dtype], _attributes(op))
    return result


def _split(value: Any) -> Complex:
    return Complex(tf.math.real(value), tf.math.imag(value))


@complex_decomposition(*COMPLEX_TRANSFORMS)
def transform(op: Any, value: Complex, *rest: Any) -> Complex:
    return _split(_transform(op, value, *rest))


@complex_decomposition(*REAL_TRANSFORMS)
def transform_real(op: Any, value: Any, length: Any) -> Complex:
    return _split(_transform(op, value, length))


@complex_decomposition(*TRANSFORMS_TO_REAL)
def transform_to_real(op: Any, value: Complex, length: Any) -> Any:
    return _transform(op, value, length)


@decomposition("AudioSpectrogram")
def audio_spectrogram(op: Any, samples: Any) -> Any:
    """Windows of a signal [samples, channels], Hann's before the transform of the next power of two."""
    size, stride = op.get_attr("window_size"), op.get_attr("stride")
    length = 1 << (size - 1).bit_length()
    power = tf.abs(tf.signal.stft(tf.transpose(samples), size, stride, fft_length=length))
    return tf.square(power) if op.get_attr("magnitude_squared") else power
