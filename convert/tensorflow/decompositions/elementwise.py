"""Functions of single elements beyond ONNX's own, in double precision where single does not do."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError

Function = Callable[..., Any]


def _in_double(function: Function) -> Function:
    """The rule that computes a function of floats in double precision."""

    @functools.wraps(function)
    def rule(op: Any, *inputs: Any) -> Any:
        return tf.cast(function(*[tf.cast(each, tf.float64) for each in inputs]), op.outputs[0].dtype)

    return rule


def _number(value: float, like: Any) -> Any:
    return tf.constant(value, like.dtype)


NARROW = frozenset({tf.uint8, tf.uint16})
"""Signed ones keep ONNX Runtime's way, which is TensorFlow's own for what its vectors leave over."""


def _rounds_to_bfloat16(op: Any) -> bool:
    narrow = op.inputs[0]
    is_back = narrow.dtype == tf.bfloat16 and op.outputs[0].dtype == tf.float32
    return bool(is_back and narrow.op.type == "Cast" and narrow.op.inputs[0].dtype == tf.float32)


def _may_not_fit(op: Any) -> bool:
    return bool(op.inputs[0].dtype == tf.float32 and op.outputs[0].dtype in NARROW)


@decomposition("Cast", when=lambda op: _may_not_fit(op) or _rounds_to_bfloat16(op))
def cast(op: Any, x: Any) -> Any:
    """To narrow integers what does not fit is clipped, as TensorFlow's vector code does; ONNX Runtime keeps bits."""
    if _rounds_to_bfloat16(op):
        return _round_to_bfloat16(x.op.inputs[0])
    target = op.outputs[0].dtype
    return tf.cast(tf.clip_by_value(tf.cast(x, tf.int32), target.min, target.max), target)


def _round_to_bfloat16(wide: Any) -> Any:
    """A float rounded to eight binary digits by Veltkamp's splitting; tf2onnx takes bfloat16 for float16."""
    is_large = tf.abs(wide) > 1e30
    scaled = tf.where(is_large, wide * 2.0**-32, wide)
    spread = scaled * (2.0**16 + 1.0)
    rounded = spread - (spread - scaled)
    rounded = tf.where(is_large, rounded * 2.0**32, rounded)
    return tf.where(tf.math.is_finite(wide), rounded, wide)


NEAR_ZERO = frozenset({"Log", "Ndtri"})


@decomposition("Sigmoid", when=lambda op: any(use.type in NEAR_ZERO for use in op.outputs[0].consumers()))
def sigmoid(op: Any, x: Any) -> Any:
    """By its formula where a function follows that goes on to infinity at 0: ONNX Runtime's kernel gives 0 early."""
    return 1.0 / (1.0 + tf.exp(-x))


@decomposition("Erfc")
def erfc(op: Any, x: Any) -> Any:
    return 1.0 - tf.math.erf(x)


@decomposition("Log1p")
@_in_double
def log1p(x: Any) -> Any:
    """Kahan's: log(u) * x / (u - 1) for u = 1 + x, exact where 1 + x rounds."""
    u = 1.0 + x
    near = tf.logical_and(tf.abs(x) < 1.0, tf.not_equal(u, 1.0))
    ratio = x / tf.where(near, u - 1.0, tf.ones_like(u))
    return tf.where(tf.equal(u, 1.0), x, tf.where(near, tf.math.log(u) * ratio, tf.math.log(u)))


@decomposition("Expm1")
@_in_double
def expm1(x: Any) -> Any:
    """Kahan's: (u - 1) * x / log(u) for u = exp(x)."""
    u = tf.exp(x)
    near = tf.logical_and(tf.abs(x) < 0.5, tf.not_equal(u, 1.0))
    ratio = x / tf.math.log(tf.where(near, u, 2.0 * tf.ones_like(u)))
    return tf.where(tf.equal(u, 1.0), x, tf.where(near, (u - 1.0) * ratio, u - 1.0))


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """Highest power first."""
    result = tf.fill(tf.shape(x), _number(coefficients[0], x))
    for each in coefficients[1:]:
        result = result * x + each
    return result


# Wichura, Algorithm AS 241: The Percentage Points of the Normal Distribution, PPND16 (1988).
_CENTRE = (
    (
        2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
        1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
        5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
    ),
)  # fmt: skip
_MIDDLE = (
    (
        7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
        3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
        6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0,
    ),
)  # fmt: skip
_TAIL = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
        2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
        1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
    ),
)  # fmt: skip


def _normal_quantile(p: Any, q: Any) -> Any:
    """The value below which a normal variable lies with probability p = q + 1/2, for p of at most 1/2 in `p`."""

    def ratio(parts: tuple[tuple[float, ...], tuple[float, ...]], x: Any) -> Any:
        return _polynomial(parts[0], x) / _polynomial(parts[1], x)

    near = tf.abs(q) <= 0.425
    centre = q * ratio(_CENTRE, 0.180625 - tf.where(near, q * q, tf.zeros_like(q)))
    r = tf.sqrt(-tf.math.log(tf.where(near, 0.25 * tf.ones_like(p), p)))
    outside = tf.where(r <= 5.0, ratio(_MIDDLE, r - 1.6), ratio(_TAIL, r - 5.0))
    outside = tf.where(tf.math.is_inf(r), r, outside)
    return tf.where(near, centre, tf.where(q < 0, -outside, outside))


@decomposition("Ndtri")
@_in_double
def ndtri(p: Any) -> Any:
    return _normal_quantile(tf.minimum(p, 1.0 - p), p - 0.5)


@decomposition("Erfinv")
@_in_double
def erfinv(x: Any) -> Any:
    return _normal_quantile((1.0 - tf.abs(x)) * 0.5, x * 0.5) * math.sqrt(0.5)


# Lanczos' approximation with g = 7 and nine terms, as Numerical Recipes' gammln extends it (Godfrey's coefficients).
_LANCZOS = (
    676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip


def _log_gamma_above_half(x: Any) -> Any:
    x = x - 1.0
    total = 0.99999999999980993 * tf.ones_like(x)
    for index, each in enumerate(_LANCZOS):
        total = total + each / (x + (index + 1.0))
    t = x + 7.5
    return 0.5 * math.log(2 * math.pi) + (x + 0.5) * tf.math.log(t) - t + tf.math.log(total)


@decomposition("Lgamma")
@_in_double
def lgamma(x: Any) -> Any:
    above = x >= 0.5
    direct = _log_gamma_above_half(tf.where(above, x, 1.0 - x))
    # Reflection. ONNX Runtime has no sine of doubles beyond single precision's kernels, so the fraction goes in first.
    fraction = tf.abs(x - tf.round(x))
    sine = tf.cast(tf.sin(tf.cast(math.pi * fraction, tf.float32)), x.dtype)
    reflected = math.log(math.pi) - tf.math.log(sine) - direct
    result = tf.where(above, direct, reflected)
    infinite = tf.logical_or(tf.math.is_inf(x), tf.logical_and(tf.logical_not(above), tf.equal(fraction, 0.0)))
    return tf.where(infinite, tf.fill(tf.shape(x), _number(math.inf, x)), result)


@decomposition("Digamma")
@_in_double
def digamma(x: Any) -> Any:
    """Recurrence up to 6, then the asymptotic series; reflection below 0."""
    negative = x <= 0
    y = tf.where(negative, 1.0 - x, x)
    result = tf.zeros_like(y)
    for _ in range(6):
        small = y < 6.0
        result = result - tf.where(small, 1.0 / tf.where(small, y, tf.ones_like(y)), tf.zeros_like(y))
        y = tf.where(small, y + 1.0, y)
    inverse = 1.0 / (y * y)
    series = _polynomial((-1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12, 0.0), inverse)
    result = result + tf.math.log(y) - 0.5 / y + series
    fraction = tf.cast(x - tf.round(x), tf.float32)
    reflected = result - math.pi / tf.cast(tf.tan(math.pi * fraction), x.dtype)
    whole = tf.logical_and(negative, tf.equal(fraction, 0.0))
    return tf.where(whole, tf.fill(tf.shape(x), _number(math.nan, x)), tf.where(negative, reflected, result))


@decomposition("Xlogy")
def xlogy(op: Any, x: Any, y: Any) -> Any:
    return _zero_where_zero(x, lambda: x * tf.math.log(y), y)


@decomposition("Xlog1py")
def xlog1py(op: Any, x: Any, y: Any) -> Any:
    return _zero_where_zero(x, lambda: x * log1p(op, y), y)


@decomposition("Xdivy")
def xdivy(op: Any, x: Any, y: Any) -> Any:
    return _zero_where_zero(x, lambda: x / y, y)


@decomposition("MulNoNan")
def mul_no_nan(op: Any, x: Any, y: Any) -> Any:
    return _zero_where_zero(y, lambda: x * y, x)


def _zero_where_zero(x: Any, result: Callable[[], Any], y: Any) -> Any:
    value = result()
    return tf.where(tf.equal(x, tf.zeros_like(x)), tf.zeros_like(value), value)


@decomposition("SparseSoftmaxCrossEntropyWithLogits")
def sparse_softmax_cross_entropy(op: Any, logits: Any, labels: Any) -> tuple[Any, Any]:
    """tf2onnx takes the logarithm of the softmax, which is 0 far from the largest logit."""
    logs = tf.nn.log_softmax(logits)
    marks = tf.one_hot(labels, tf.shape(logits)[1], dtype=logits.dtype)
    chosen = tf.gather(logs, labels, axis=1, batch_dims=1)
    return -chosen, tf.exp(logs) - marks


@decomposition("Cross")
def cross(op: Any, a: Any, b: Any) -> Any:
    a0, a1, a2 = tf.unstack(a, num=3, axis=-1)
    b0, b1, b2 = tf.unstack(b, num=3, axis=-1)
    return tf.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)


@decomposition("ApproximateEqual")
def approximate_equal(op: Any, x: Any, y: Any) -> Any:
    return tf.abs(x - y) <= _number(op.get_attr("tolerance"), x)


@decomposition("PopulationCount")
def population_count(op: Any, x: Any) -> Any:
    bits = 8 * x.dtype.size
    wide = tf.cast(x, tf.int64)
    total = tf.zeros_like(wide)
    value = wide if bits == 64 else tf.math.floormod(wide, 1 << bits)
    for _ in range(bits):
        half = tf.math.floordiv(value, 2)
        total += value - 2 * half
        value = half
    return tf.cast(total, tf.uint8)


@decomposition("Bitcast")
def bitcast(op: Any, value: Any) -> Any:
    if value.dtype == op.outputs[0].dtype:
        return tf.identity(value)
    raise UnsupportedError("ONNX cannot read the bits of a number as another type.")


@decomposition("NextAfter", "Igamma", "Igammac", "Betainc", "Zeta", "Polygamma")
def refuse_special(op: Any, *inputs: Any) -> Any:
    raise UnsupportedError("ONNX has no such function, and no short formula gives it.")


# Abramowitz and Stegun's successors in Cephes (i0f, i1f): Chebyshev series for exp(-|x|) I0(x) and I1(x).
_I0E_SMALL = (
    -1.30002500998624804212e-8, 6.04699502254191894932e-8, -2.67079385394061173391e-7, 1.11738753912010371815e-6,
    -4.41673835845875056359e-6, 1.64484480707288970893e-5, -5.75419501008210370398e-5, 1.88502885095841655729e-4,
    -5.76375574538582365885e-4, 1.63947561694133579842e-3, -4.32430999505057594430e-3, 1.05464603945949983183e-2,
    -2.37374148058994688156e-2, 4.93052842396707084878e-2, -9.49010970480476444210e-2, 1.71620901522208775349e-1,
    -3.04682672343198398683e-1, 6.76795274409476084995e-1,
)  # fmt: skip
_I0E_LARGE = (
    3.39623202570838634515e-9, 2.26666899049817806459e-8, 2.04891858946906374183e-7, 2.89137052083475648297e-6,
    6.88975834691682398426e-5, 3.36911647825569408990e-3, 8.04490411014108831608e-1,
)  # fmt: skip
_I1E_SMALL = (
    9.38153738649577178388e-9, -4.44505912879632808065e-8, 2.00329475355213526229e-7, -8.56872026469545474066e-7,
    3.47025130813767847674e-6, -1.32731636560394358279e-5, 4.78156510755005422638e-5, -1.61760815825896745588e-4,
    5.12285956168575772895e-4, -1.51357245063125314899e-3, 4.15642294431288815669e-3, -1.05640848946261981558e-2,
    2.47264490306265168283e-2, -5.29459812080949914269e-2, 1.02643658689847095384e-1, -1.76416518357834055153e-1,
    2.52587186443633654823e-1,
)  # fmt: skip
_I1E_LARGE = (
    -3.83538038596423702205e-9, -2.63146884688951950684e-8, -2.51223623787020892529e-7, -3.88256480887769039346e-6,
    -1.10588938762623716291e-4, -9.76109749136146840777e-3, 7.78576235018280120474e-1,
)  # fmt: skip


def _chebyshev(coefficients: tuple[float, ...], x: Any) -> Any:
    now, before, oldest = tf.zeros_like(x), tf.zeros_like(x), tf.zeros_like(x)
    for each in coefficients:
        oldest, before = before, now
        now = x * before - oldest + each
    return 0.5 * (now - oldest)


def _scaled_bessel(x: Any, small: tuple[float, ...], large: tuple[float, ...]) -> Any:
    near = x <= 8.0
    inside = tf.where(near, x, tf.ones_like(x))
    outside = tf.where(near, 16.0 * tf.ones_like(x), x)
    first = _chebyshev(small, inside / 2.0 - 2.0)
    return tf.where(near, first, _chebyshev(large, 32.0 / outside - 2.0) / tf.sqrt(outside)), inside


@decomposition("BesselI0e")
@_in_double
def bessel_i0e(x: Any) -> Any:
    return _scaled_bessel(tf.abs(x), _I0E_SMALL, _I0E_LARGE)[0]


@decomposition("BesselI1e")
@_in_double
def bessel_i1e(x: Any) -> Any:
    value, inside = _scaled_bessel(tf.abs(x), _I1E_SMALL, _I1E_LARGE)
    value = tf.where(tf.abs(x) <= 8.0, value * inside, value)
    return tf.where(x < 0, -value, value)
