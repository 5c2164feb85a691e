// State that a model carries from call to call. The package `sums` holds y = total + x, and total becomes y.
#include <doctest/doctest.h>

#include <transload/transload.hpp>

#include "packages.h"

using transload::Model;
using transload::Stream;
using transload::Tensor;

namespace {

float add(Stream& stream, float value) {
  const auto results = stream.run({{"x", Tensor::over(&value, 1, {1})}});
  REQUIRE(results.size() == 1);
  return results["y"].data<float>()[0];
}

}  // namespace

TEST_CASE("a stream carries its state, a plain call begins anew") {
  const auto model = Model::open(package_path("sums"));
  Stream stream = model.stream();
  CHECK(add(stream, 1) == 11);  // the initial total is 10
  CHECK(add(stream, 2) == 13);
  float x = 5;
  CHECK(model.run({{"x", Tensor::over(&x, 1, {1})}})["y"].data<float>()[0] == 15);
  CHECK(add(stream, 3) == 16);
  stream.reset();
  CHECK(add(stream, 1) == 11);
}

TEST_CASE("two streams of one model never mix") {
  const auto model = Model::open(package_path("sums"));
  Stream first = model.stream(), second = model.stream();
  for (int call = 1; call <= 5; ++call) {
    CHECK(add(first, 1) == 10.0f + static_cast<float>(call));
    CHECK(add(second, 100) == 10.0f + 100.0f * static_cast<float>(call));
  }
}

TEST_CASE("an error leaves the state as it was") {
  const auto model = Model::open(package_path("sums"));
  Stream stream = model.stream();
  CHECK(add(stream, 1) == 11);
  std::vector<float> wrong(2);
  CHECK_THROWS_AS(stream.run({{"x", Tensor::over(wrong, {2})}}), transload::Error);
  CHECK(add(stream, 1) == 12);
}

TEST_CASE("a stream outlives the model object that made it") {
  Stream stream = Model::open(package_path("sums")).stream();
  CHECK(add(stream, 1) == 11);
}
