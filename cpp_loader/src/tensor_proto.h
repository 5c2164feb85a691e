// Vectors: TensorProto files with their data inside.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dtypes.h"

namespace tl {

// A tensor's values: little-endian `bytes`, two 4-bit elements to a byte; or `strings`.
struct TensorValues {
  std::string name;
  Dtype dtype = Dtype::float32;
  std::vector<std::int64_t> shape;
  std::string bytes;
  std::vector<std::string> strings;
};

// Throws Error (rule `vectors`): the bytes are not a TensorProto with all its data inside.
TensorValues parse_tensor(std::string_view data, const std::string& member);

}  // namespace tl
