// The table of element types.
#include "dtypes.h"

#include <algorithm>
#include <limits>

namespace tl {
namespace {

constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 56;

struct Row {
  Dtype dtype;
  const char* name;
  std::size_t bits;
  bool is_float;
};

constexpr Row kRows[] = {
    {Dtype::float32, "float32", 32, true},
    {Dtype::uint8, "uint8", 8, false},
    {Dtype::int8, "int8", 8, false},
    {Dtype::uint16, "uint16", 16, false},
    {Dtype::int16, "int16", 16, false},
    {Dtype::int32, "int32", 32, false},
    {Dtype::int64, "int64", 64, false},
    {Dtype::string, "string", 0, false},
    {Dtype::boolean, "bool", 8, false},
    {Dtype::float16, "float16", 16, true},
    {Dtype::float64, "float64", 64, true},
    {Dtype::uint32, "uint32", 32, false},
    {Dtype::uint64, "uint64", 64, false},
    {Dtype::bfloat16, "bfloat16", 16, true},
    {Dtype::float8_e4m3fn, "float8_e4m3fn", 8, true},
    {Dtype::float8_e4m3fnuz, "float8_e4m3fnuz", 8, true},
    {Dtype::float8_e5m2, "float8_e5m2", 8, true},
    {Dtype::float8_e5m2fnuz, "float8_e5m2fnuz", 8, true},
    {Dtype::uint4, "uint4", 4, false},
    {Dtype::int4, "int4", 4, false},
};

template <typename Claim>
const Row* find(Claim claim) {
  const Row* found = std::find_if(std::begin(kRows), std::end(kRows), claim);
  return found == std::end(kRows) ? nullptr : found;
}

const Row& row_of(Dtype dtype) {
  return *find([&](const Row& row) { return row.dtype == dtype; });
}

}  // namespace

std::optional<Dtype> dtype_from_name(std::string_view name) {
  const Row* row = find([&](const Row& each) { return each.name == name; });
  return row == nullptr ? std::nullopt : std::optional(row->dtype);
}

std::optional<Dtype> dtype_from_onnx(std::int64_t number) {
  const Row* row = find([&](const Row& each) { return static_cast<std::int64_t>(each.dtype) == number; });
  return row == nullptr ? std::nullopt : std::optional(row->dtype);
}

const char* dtype_name(Dtype dtype) { return row_of(dtype).name; }
std::size_t dtype_bits(Dtype dtype) { return row_of(dtype).bits; }
bool is_float(Dtype dtype) { return row_of(dtype).is_float; }
bool is_four_bits(Dtype dtype) { return dtype_bits(dtype) == 4; }

std::optional<std::uint64_t> size_in_bytes(Dtype dtype, std::uint64_t count) {
  if (is_four_bits(dtype)) return count / 2 + count % 2;
  const std::uint64_t width = dtype_bits(dtype) / 8;
  if (width != 0 && count > std::numeric_limits<std::uint64_t>::max() / width) return std::nullopt;
  return count * width;
}

bool has_possible_dims(const std::vector<std::int64_t>& dims) {
  std::uint64_t product = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0 || (dim > 0 && product > (kMaxElements - 1) / static_cast<std::uint64_t>(dim))) return false;
    if (dim > 0) product *= static_cast<std::uint64_t>(dim);
  }
  return true;
}

std::optional<std::uint64_t> element_count(const std::int64_t* shape, std::size_t rank) {
  const std::int64_t* end = shape + rank;
  if (std::any_of(shape, end, [](std::int64_t size) { return size < 0; })) return std::nullopt;
  if (std::find(shape, end, 0) != end) return 0;
  std::uint64_t count = 1;
  for (const std::int64_t* size = shape; size != end; ++size) {
    const auto factor = static_cast<std::uint64_t>(*size);
    if (factor != 0 && count > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
    count *= factor;
  }
  return count;
}

}  // namespace tl
