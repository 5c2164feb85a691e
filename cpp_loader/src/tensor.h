// A tensor in memory: over the caller's, the library's, or a result that ONNX Runtime allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dtypes.h"
#include "ort.h"
#include "tensor_proto.h"

namespace tl {

// Values as ONNX lays them out, row by row; strings are behind `value` alone.
struct Tensor {
  Dtype dtype = Dtype::float32;
  std::vector<std::int64_t> shape;
  std::uint64_t count = 0;
  std::size_t size_bytes = 0;
  void* data = nullptr;            // null for strings
  std::unique_ptr<char[]> memory;  // where the library owns it; outlives `value`
  std::vector<std::string> strings;
  ort::Value value;
};

// Over memory that stays the caller's and must outlive the tensor. Throws Error (usage): the size is not the shape's.
Tensor wrap_tensor(Dtype dtype, std::vector<std::int64_t> shape, void* data, std::size_t size_bytes);

// Zeros in memory of the library.
Tensor make_tensor(Dtype dtype, std::vector<std::int64_t> shape);

Tensor make_strings(std::vector<std::int64_t> shape, std::vector<std::string> strings);

// A copy of recorded values.
Tensor from_values(const TensorValues& values);

// Takes over a result of ONNX Runtime.
Tensor adopt_value(ort::Value value);

}  // namespace tl
