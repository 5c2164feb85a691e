// The element types of tensors. The numbers are ONNX's own (TensorProto.DataType), which ONNX Runtime uses too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tl {

enum class Dtype : int {
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  bfloat16 = 16,
  float8_e4m3fn = 17,
  float8_e4m3fnuz = 18,
  float8_e5m2 = 19,
  float8_e5m2fnuz = 20,
  uint4 = 21,
  int4 = 22,
};

// By numpy's and ml_dtypes' words; nothing for a name or number that transload does not carry.
std::optional<Dtype> dtype_from_name(std::string_view name);
std::optional<Dtype> dtype_from_onnx(std::int64_t number);
const char* dtype_name(Dtype dtype);

// Bits of one element; 0 for strings.
std::size_t dtype_bits(Dtype dtype);

bool is_float(Dtype dtype);
bool is_four_bits(Dtype dtype);

// The bytes that so many elements take, two 4-bit ones to a byte; nothing where that is over 64 bits.
std::optional<std::uint64_t> size_in_bytes(Dtype dtype, std::uint64_t count);

// Whether the dimensions are not negative and their product is in bounds, without the zeros: others may multiply
// before they come to one.
bool has_possible_dims(const std::vector<std::int64_t>& dims);

// The product of dimensions; nothing where it is over 64 bits or a dimension is negative.
std::optional<std::uint64_t> element_count(const std::int64_t* shape, std::size_t rank);

}  // namespace tl
