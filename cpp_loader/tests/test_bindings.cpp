// Bound inputs and outputs.
#include <doctest/doctest.h>

#include <transload/transload.hpp>

#include "packages.h"

using transload::Binding;
using transload::Model;
using transload::Tensor;

TEST_CASE("a bound call reads and writes the caller's memory") {
  std::vector<float> x = {1, 2, 3}, y(3);
  Binding binding = Model::open(package_path("double")).bind();
  binding.input("x", Tensor::over(x, {1, 3})).output("y", Tensor::over(y, {1, 3}));
  binding.run();
  CHECK(y == std::vector<float>{2, 4, 6});
  x = {0, 1, 0};
  binding.run();
  CHECK(y == std::vector<float>{0, 2, 0});
}

TEST_CASE("an output without memory of its own is written at one place again and again") {
  std::vector<float> x = {1, 2, 3};
  Binding binding = Model::open(package_path("double")).bind();
  binding.input("x", Tensor::over(x, {1, 3}));
  CHECK_THROWS_AS(binding.result("y"), transload::Error);
  binding.run();
  const float* first = binding.result("y").data<float>();
  CHECK(binding.result("y").to_vector<float>() == std::vector<float>{2, 4, 6});
  x = {4, 4, 4};
  binding.run();
  CHECK(binding.result("y").data<float>() == first);
  CHECK(binding.result("y").to_vector<float>() == std::vector<float>{8, 8, 8});
}

TEST_CASE("another input may have another size") {
  std::vector<float> x = {1, 2, 3}, longer(6, 1);
  Binding binding = Model::open(package_path("double")).bind();
  binding.input("x", Tensor::over(x, {1, 3}));
  binding.run();
  binding.input("x", Tensor::over(longer, {2, 3}));
  binding.run();
  CHECK(binding.result("y").shape() == transload::Shape{2, 3});
}

TEST_CASE("an output whose size hangs on the values has the right one at each call") {
  std::vector<float> x = {1, 0, 3};
  Binding binding = Model::open(package_path("nonzero")).bind();
  binding.input("x", Tensor::over(x, {3}));
  binding.run();
  CHECK(binding.result("places").to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 2});
  x = {0, 1, 0};
  binding.run();
  CHECK(binding.result("places").to_vector<std::int64_t>() == std::vector<std::int64_t>{1});
}

TEST_CASE("a bound call checks its inputs") {
  std::vector<float> x(4);
  Binding binding = Model::open(package_path("double")).bind();
  CHECK_THROWS_AS(binding.run(), transload::Error);
  binding.input("x", Tensor::over(x, {1, 4}));
  CHECK_THROWS_AS(binding.run(), transload::Error);
  CHECK_THROWS_AS(binding.input("z", Tensor::over(x, {1, 4})), transload::Error);
}

TEST_CASE("strings come anew at each call") {
  Binding binding = Model::open(package_path("same_string")).bind();
  binding.input("x", Tensor::of_strings({"a", "b"}, {2}));
  binding.run();
  binding.input("x", Tensor::of_strings({"c", "d"}, {2}));
  binding.run();
  CHECK(binding.result("y").strings() == std::vector<std::string>{"c", "d"});
}
