// Decoding of narrow floats (IEEE 754 binary16, bfloat16, and the 8-bit formats of ONNX's documentation) and integers.
#include "floats.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace tl {
namespace {

// What the largest exponent and the negative zero mean in a format.
enum class Special { ieee, only_nan, no_infinity };

struct Format {
  int exponent_bits, mantissa_bits, bias;
  Special special;
};

double decode(std::uint32_t bits, const Format& format) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const int width = 1 + format.exponent_bits + format.mantissa_bits;
  const std::uint32_t mantissa_mask = (1u << format.mantissa_bits) - 1;
  const std::uint32_t exponent_mask = (1u << format.exponent_bits) - 1;
  const std::uint32_t mantissa = bits & mantissa_mask;
  const std::uint32_t exponent = bits >> format.mantissa_bits & exponent_mask;
  const bool negative = (bits >> (width - 1) & 1) != 0;
  const double sign = negative ? -1.0 : 1.0;
  if (format.special == Special::only_nan && negative && exponent == 0 && mantissa == 0) return kNan;
  if (format.special == Special::no_infinity && exponent == exponent_mask && mantissa == mantissa_mask) return kNan;
  if (format.special == Special::ieee && exponent == exponent_mask) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : kNan;
  }
  const double scale = std::ldexp(1.0, -format.mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(mantissa * scale, 1 - format.bias);
  return sign * std::ldexp(1.0 + mantissa * scale, static_cast<int>(exponent) - format.bias);
}

template <typename Number>
Number load(const Tensor& tensor, std::uint64_t index) {
  Number value;
  std::memcpy(&value, static_cast<const char*>(tensor.data) + index * sizeof(Number), sizeof(Number));
  return value;
}

}  // namespace

double float_at(const Tensor& tensor, std::uint64_t index) {
  switch (tensor.dtype) {
    case Dtype::float64:
      return load<double>(tensor, index);
    case Dtype::float32:
      return load<float>(tensor, index);
    case Dtype::float16:
      return decode(load<std::uint16_t>(tensor, index), {5, 10, 15, Special::ieee});
    case Dtype::bfloat16:
      return decode(load<std::uint16_t>(tensor, index), {8, 7, 127, Special::ieee});
    case Dtype::float8_e4m3fn:
      return decode(load<std::uint8_t>(tensor, index), {4, 3, 7, Special::no_infinity});
    case Dtype::float8_e4m3fnuz:
      return decode(load<std::uint8_t>(tensor, index), {4, 3, 8, Special::only_nan});
    case Dtype::float8_e5m2:
      return decode(load<std::uint8_t>(tensor, index), {5, 2, 15, Special::ieee});
    case Dtype::float8_e5m2fnuz:
      return decode(load<std::uint8_t>(tensor, index), {5, 2, 16, Special::only_nan});
    default:
      return static_cast<double>(integer_at(tensor, index));
  }
}

std::int64_t integer_at(const Tensor& tensor, std::uint64_t index) {
  switch (tensor.dtype) {
    case Dtype::int8:
      return load<std::int8_t>(tensor, index);
    case Dtype::int16:
      return load<std::int16_t>(tensor, index);
    case Dtype::int32:
      return load<std::int32_t>(tensor, index);
    case Dtype::uint16:
      return load<std::uint16_t>(tensor, index);
    case Dtype::uint32:
      return load<std::uint32_t>(tensor, index);
    case Dtype::int64:
    case Dtype::uint64:
      return load<std::int64_t>(tensor, index);
    case Dtype::uint4:
    case Dtype::int4: {
      const std::uint8_t byte = load<std::uint8_t>(tensor, index / 2);
      const int value = index % 2 == 0 ? byte & 15 : byte >> 4;
      return tensor.dtype == Dtype::int4 && value > 7 ? value - 16 : value;
    }
    default:
      return load<std::uint8_t>(tensor, index);
  }
}

}  // namespace tl
