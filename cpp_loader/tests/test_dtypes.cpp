// Element types and the sizes of tensors.
#include <doctest/doctest.h>

#include <cstdint>

#include "dtypes.h"

using tl::Dtype;

TEST_CASE("names and numbers lead to the same element type") {
  CHECK(tl::dtype_from_name("bfloat16") == Dtype::bfloat16);
  CHECK(tl::dtype_from_onnx(16) == Dtype::bfloat16);
  CHECK_FALSE(tl::dtype_from_name("float33"));
  CHECK_FALSE(tl::dtype_from_onnx(14));
}

TEST_CASE("two elements of 4 bits share a byte") {
  CHECK(tl::size_in_bytes(Dtype::int4, 5) == 3);
  CHECK(tl::size_in_bytes(Dtype::int64, 5) == 40);
}

TEST_CASE("sizes over 64 bits are nothing") {
  const std::int64_t large[] = {std::int64_t{1} << 40, std::int64_t{1} << 40};
  CHECK_FALSE(tl::element_count(large, 2));
  CHECK_FALSE(tl::size_in_bytes(Dtype::float64, std::uint64_t{1} << 62));
}

TEST_CASE("a dimension of zero makes the product zero, a negative one nothing") {
  const std::int64_t empty[] = {std::int64_t{1} << 40, std::int64_t{1} << 40, 0};
  CHECK(tl::element_count(empty, 3) == 0);
  const std::int64_t negative[] = {0, -1};
  CHECK_FALSE(tl::element_count(negative, 2));
  CHECK(tl::element_count(nullptr, 0) == 1);
}
