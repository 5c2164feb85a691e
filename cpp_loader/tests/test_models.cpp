// Running models through the public interface.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>
#include <transload/transload.hpp>

#include "packages.h"

using transload::Error;
using transload::Model;
using transload::Options;
using transload::Results;
using transload::Status;
using transload::Tensor;

namespace {

// The package `double` holds y = x + x over x: float32[batch,3].
const std::vector<float> kTwice = {2, 4, 6};

template <typename Work>
std::pair<Status, std::string> error_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.status(), error.what()};
  }
  return {Status{}, ""};
}

Options named(const char* component) {
  Options options;
  options.component = component;
  return options;
}

}  // namespace

TEST_CASE("two lines load and run") {
  std::vector<float> x = {1, 2, 3};
  auto model = Model::open(package_path("double"));
  const auto results = model.run({{"x", Tensor::over(x, {1, 3})}});
  CHECK(results["y"].to_vector<float>() == kTwice);
  CHECK(results["y"].shape() == transload::Shape{1, 3});
}

TEST_CASE("products of bytes are added exactly on every processor") {
  std::vector<std::uint8_t> x(64, 255);
  for (const bool optimize : {true, false}) {
    Options options;
    options.optimize = optimize;
    const auto results = Model::open(package_path("bytes_product"), options).run({{"x", Tensor::over(x, {1, 64})}});
    CHECK(results["y"].to_vector<std::int32_t>() == std::vector<std::int32_t>{64 * 255 * 127});
  }
}

TEST_CASE("quantized tensors are multiplied exactly on every processor") {
  std::vector<float> x(64, 127);
  const auto results = Model::open(package_path("quantized_products")).run({{"x", Tensor::over(x, {1, 64})}});
  // 64 * 127 * 127 is 127 steps of 64 * 127; of these 64 are summed.
  CHECK(results["y"].to_vector<float>() == std::vector<float>{64.F * 127 * 127 * 64});
}

TEST_CASE("results are found by name, by path and by position") {
  std::vector<float> x = {1, 2, 3};
  const auto results = Model::open(package_path("nested")).run({{"batch/0/pixels", Tensor::over(x, {1, 3})}});
  CHECK(results["boxes/0/scores"].to_vector<float>() == kTwice);
  CHECK(results["boxes/1"].to_vector<float>() == x);
  CHECK(results["pair/second"].to_vector<float>() == x);
  CHECK(results["pair/1"].to_vector<float>() == x);
  CHECK(results[0].to_vector<float>() == kTwice);
  CHECK(error_of([&] { results["boxes/2"]; }).first == Status::usage);
}

TEST_CASE("only the outputs that are asked for are computed") {
  std::vector<float> x = {1, 2, 3};
  const auto results = Model::open(package_path("nested")).run({{"x", Tensor::over(x, {1, 3})}}, {"boxes/1"});
  CHECK(results.size() == 1);
  CHECK(results["same"].to_vector<float>() == x);
  CHECK_THROWS_AS(results["twice"], std::out_of_range);
}

TEST_CASE("inputs that are not the interface's are refused before ONNX Runtime sees them") {
  const auto model = Model::open(package_path("double"));
  std::vector<float> x(6);
  std::vector<double> wide(3);
  const auto message = [&](const std::vector<transload::Input>& inputs) {
    const auto [status, text] = error_of([&] { model.run(inputs); });
    CHECK(status == Status::usage);
    return text;
  };
  const Tensor good = Tensor::over(x, {2, 3}), narrow = Tensor::over(x, {3, 2}), flat = Tensor::over(x, {6});
  CHECK(message({}) == "The input 'x' is missing.");
  CHECK(message({{"z", good}}) == "The model has no input 'z'.");
  CHECK(message({{"x", good}, {"x", good}}) == "The input 'x' was given twice.");
  CHECK(message({{"x", Tensor::over(wide, {1, 3})}}) ==
        "The input 'x' has dtype float64; the model takes float32[batch,3].");
  CHECK(message({{"x", narrow}}) == "The input 'x' has size 2 on axis 1; the model takes float32[batch,3].");
  CHECK(message({{"x", flat}}) == "The input 'x' has rank 1; the model takes float32[batch,3].");
}

TEST_CASE("equal names of dimensions are equal sizes") {
  std::vector<float> a(4), b(6);
  const auto [status, text] = error_of([&] {
    Model::open(package_path("sum")).run({{"a", Tensor::over(a, {4})}, {"b", Tensor::over(b, {6})}});
  });
  CHECK(status == Status::usage);
  CHECK(text == "The dimension 'n' is 4 in 'a' axis 0 but 6 in 'b' axis 0.");
}

TEST_CASE("a dimension in steps takes their multiples only") {
  const auto message = [](const std::vector<std::int64_t>& shape) {
    std::vector<float> x(static_cast<std::size_t>(shape[0] * shape[1] * shape[2]));
    return error_of([&] { Model::open(package_path("steps")).run({{"x", Tensor::over(x, shape)}}); }).second;
  };
  CHECK(message({8, 3, 1}) == "");
  CHECK(message({0, 3, 1}) == "");
  CHECK(message({6, 3, 1}) == "The dimension '4*rows' takes multiples of 4 only; it is 6 in 'x' axis 0.");
}

TEST_CASE("one component of several is chosen by name") {
  CHECK(error_of([] { Model::open(package_path("pair")); }).first == Status::usage);
  CHECK(error_of([] { Model::open(package_path("pair"), named("forward")); }).first == Status::usage);
  std::vector<float> x(256, 1);
  const auto encoded = Model::open(package_path("pair"), named("encode")).run({{"x", Tensor::over(x, {1, 256})}});
  const auto decoded = Model::open(package_path("pair"), named("decode")).run({{"x", Tensor::over(x, {1, 256})}});
  CHECK(encoded["y"].to_vector<float>() != decoded["y"].to_vector<float>());
}

TEST_CASE("a model describes its tensors") {
  const auto inputs = Model::open(package_path("double")).inputs();
  REQUIRE(inputs.size() == 1);
  CHECK(inputs[0].name == "x");
  CHECK(inputs[0].dtype == transload::Dtype::float32);
  CHECK(inputs[0].shape == transload::Shape{-1, 3});
  CHECK(inputs[0].dim_names == std::vector<std::string>{"batch", ""});
}

TEST_CASE("an asynchronous run gives the same") {
  std::vector<float> x = {1, 2, 3};
  const Tensor tensor = Tensor::over(x, {1, 3});
  auto future = Model::open(package_path("double")).run_async({{"x", tensor}});
  CHECK(future.get()["y"].to_vector<float>() == kTwice);
}

TEST_CASE("calls from several threads do not mix") {
  const auto model = Model::open(package_path("double"));
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (std::size_t index = 0; index < wrong.size(); ++index) {
    threads.emplace_back([&, index] {
      std::vector<float> x(3, static_cast<float>(index));
      for (int call = 0; call < 200; ++call) {
        const auto results = model.run({{"x", Tensor::over(x, {1, 3})}});
        wrong[index] += results["y"].data<float>()[2] != 2 * static_cast<float>(index);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::count(wrong.begin(), wrong.end(), 0) == 4);
}

TEST_CASE("packages are opened and closed from several threads") {
  std::vector<std::thread> threads;
  std::vector<int> right(3);
  for (std::size_t index = 0; index < right.size(); ++index) {
    threads.emplace_back([&, index] {
      for (int round = 0; round < 5; ++round) {
        std::vector<float> x = {1, 2, 3};
        const auto results = Model::open(package_path("double")).run({{"x", Tensor::over(x, {1, 3})}});
        right[index] += results["y"].to_vector<float>() == kTwice;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == std::vector<int>{5, 5, 5});
}

TEST_CASE("options that make no sense are refused") {
  Options options;
  options.device = "tpu";
  CHECK(error_of([&] { Model::open(package_path("double"), options); }).first == Status::usage);
  options.device = "cpu";
  options.threads = -1;
  CHECK(error_of([&] { Model::open(package_path("double"), options); }).first == Status::usage);
}

TEST_CASE("a failure while running is an execution error") {
  std::vector<std::int64_t> x = {7};
  const auto model = Model::open(package_path("lookup"));
  const auto [status, text] = error_of([&] { model.run({{"x", Tensor::over(x, {1})}}); });
  CHECK(status == Status::execution);
  CHECK(text.find("out of data bounds") != std::string::npos);
}

TEST_CASE("without optimisations and pre-packing the answer is the same") {
  std::vector<float> x(256, 0.5f);
  Options plain = named("encode");
  plain.optimize = plain.prepack = false;
  plain.threads = 1;
  const auto ours = Model::open(package_path("pair"), plain).run({{"x", Tensor::over(x, {1, 256})}});
  const auto theirs = Model::open(package_path("pair"), named("encode")).run({{"x", Tensor::over(x, {1, 256})}});
  for (std::size_t index = 0; index < 256; ++index) {
    CHECK(ours["y"].data<float>()[index] == doctest::Approx(theirs["y"].data<float>()[index]).epsilon(1e-4));
  }
}

// The package `twice` has an operator of the domain `transload.test`, which it declares.
TEST_CASE("operators of a library run where the caller gives it, and nowhere else") {
  std::vector<float> x = {1, 2, 3};
  Options options;
  const auto refusal = error_of([&] { Model::open(package_path("twice"), options); });
  CHECK(refusal.first == Status::unsupported);
  CHECK(refusal.second.find("transload.test") != std::string::npos);
  options.libraries = {LIBRARY_OF_OPERATORS};
  auto model = Model::open(package_path("twice"), options);
  CHECK(model.run({{"x", Tensor::over(x, {3})}})["y"].to_vector<float>() == kTwice);
  CHECK(model.variant() == "portable");
  options.libraries = {"no/such/library.so"};
  CHECK(error_of([&] { Model::open(package_path("twice"), options); }).first == Status::usage);
  options.libraries = {package_path("double")};
  CHECK(error_of([&] { Model::open(package_path("twice"), options); }).first == Status::execution);
  // A component that declares no domains opens none.
  CHECK(Model::open(package_path("double"), options).variant() == "portable");
}
