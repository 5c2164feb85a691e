// Elements of tensors as doubles or as integers.
#pragma once

#include <cstdint>

#include "tensor.h"

namespace tl {

// Any float element type, exactly.
double float_at(const Tensor& tensor, std::uint64_t index);

// Any integer or boolean element type; unsigned 64-bit values keep their bits.
std::int64_t integer_at(const Tensor& tensor, std::uint64_t index);

}  // namespace tl
