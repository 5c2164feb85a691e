// Tensors of every element type, over the caller's memory and the library's.
#include <doctest/doctest.h>

#include <cstring>
#include <transload/transload.hpp>

#include "packages.h"

using transload::Dtype;
using transload::Error;
using transload::Model;
using transload::Tensor;

TEST_CASE("tensors of every element type go through a model unchanged") {
  const std::pair<const char*, Dtype> all[] = {{"float64", Dtype::float64},
                                               {"float32", Dtype::float32},
                                               {"float16", Dtype::float16},
                                               {"bfloat16", Dtype::bfloat16},
                                               {"int64", Dtype::int64},
                                               {"int32", Dtype::int32},
                                               {"int16", Dtype::int16},
                                               {"int8", Dtype::int8},
                                               {"uint64", Dtype::uint64},
                                               {"uint32", Dtype::uint32},
                                               {"uint16", Dtype::uint16},
                                               {"uint8", Dtype::uint8},
                                               {"bool", Dtype::boolean},
                                               {"float8_e4m3fn", Dtype::float8_e4m3fn},
                                               {"float8_e5m2", Dtype::float8_e5m2},
                                               {"float8_e4m3fnuz", Dtype::float8_e4m3fnuz},
                                               {"int4", Dtype::int4},
                                               {"uint4", Dtype::uint4},
                                               {"float8_e5m2fnuz", Dtype::float8_e5m2fnuz}};
  for (const auto& [name, dtype] : all) {
    CAPTURE(name);
    const Tensor given = Tensor::zeros(dtype, {4});
    auto* bytes = static_cast<unsigned char*>(given.bytes());
    for (std::size_t index = 0; index < given.size_bytes(); ++index) {
      bytes[index] = dtype == Dtype::boolean ? index % 2 : static_cast<unsigned char>(0x31 + index);
    }
    const auto results = Model::open(package_path(std::string("same_") + name)).run({{"x", given}});
    CHECK(results[0].dtype() == dtype);
    REQUIRE(results[0].size_bytes() == given.size_bytes());
    CHECK(std::memcmp(results[0].bytes(), given.bytes(), given.size_bytes()) == 0);
  }
}

TEST_CASE("strings of every language and length go through") {
  const std::vector<std::string> texts = {"", "a", "naïve 模型", std::string(1000, 'x')};
  const auto results = Model::open(package_path("same_string")).run({{"x", Tensor::of_strings(texts, {4})}});
  CHECK(results[0].strings() == texts);
  CHECK(results[0].bytes() == nullptr);
}

TEST_CASE("a tensor without elements goes through") {
  std::vector<float> none;
  const auto results = Model::open(package_path("same_float32")).run({{"x", Tensor::over(none, {0})}});
  CHECK(results[0].count() == 0);
  CHECK(results[0].shape() == transload::Shape{0});
}

TEST_CASE("the caller's memory is used, not copied") {
  std::vector<float> x = {1, 2};
  const Tensor tensor = Tensor::over(x, {2});
  CHECK(tensor.data<float>() == x.data());
}

TEST_CASE("memory of another size than the shape's is refused") {
  std::vector<float> x(5);
  CHECK_THROWS_AS(Tensor::over(x, {2, 3}), Error);
  CHECK_THROWS_AS(Tensor::zeros<float>({-1}), Error);
  CHECK_THROWS_AS(Tensor::zeros<float>({std::int64_t{1} << 40, std::int64_t{1} << 40}), Error);
  CHECK_THROWS_AS(Tensor::of_strings({"a"}, {2}), Error);
}

TEST_CASE("elements are not read as another type") {
  CHECK_THROWS_AS(Tensor::zeros<float>({2}).data<double>(), std::invalid_argument);
  CHECK_THROWS_AS(Tensor::zeros<float>({2}).strings(), std::invalid_argument);
}
