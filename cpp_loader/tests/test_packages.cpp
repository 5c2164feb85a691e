// Opening packages through the public interface.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <transload/transload.hpp>
#include <type_traits>

#include "packages.h"

using transload::Error;
using transload::Integrity;
using transload::Package;
using transload::Status;

namespace {

Status status_of(const std::string& path, Integrity integrity = Integrity::crc32) {
  try {
    Package::open(path, integrity).check();
  } catch (const Error& error) {
    return error.status();
  }
  return Status{};
}

// A copy of the linear package with one byte changed, in a file of its own.
std::string spoil(std::size_t from_end, const char* name) {
  std::ifstream file(package_path("linear"), std::ios::binary);
  std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  data[data.size() - from_end] = static_cast<char>(data[data.size() - from_end] ^ 1);
  const std::string path = package_path(name);
  std::ofstream(path, std::ios::binary) << data;
  return path;
}

}  // namespace

TEST_CASE("handles are move-only, but a model's, which its copies share") {
  static_assert(!std::is_copy_constructible_v<transload::Tensor> &&
                std::is_nothrow_move_constructible_v<transload::Tensor>);
  static_assert(!std::is_copy_constructible_v<Package> && std::is_nothrow_move_constructible_v<Package>);
  static_assert(!std::is_copy_constructible_v<transload::Binding>);
  static_assert(!std::is_copy_constructible_v<transload::Stream>);
  static_assert(std::is_copy_constructible_v<transload::Model>);
}

TEST_CASE("a package tells its components and its identity") {
  const Package package = Package::open(package_path("pair"), Integrity::sha256);
  CHECK(package.components() == std::vector<std::string>{"encode", "decode"});
  CHECK(package.name() == "pair");
  CHECK(package.digest().size() == 64);
  package.check();
}

TEST_CASE("a file that is not there is the caller's fault, a damaged one the package's") {
  CHECK(status_of("/nowhere/m.tload") == Status::usage);
  CHECK(status_of("/tmp") == Status::usage);
  CHECK(status_of("/dev/null") == Status::package);
  CHECK(status_of(spoil(1, "spoilt_end")) == Status::package);
}

TEST_CASE("an error names the rule that is broken and the member that breaks it") {
  try {
    Package::open(spoil(100000, "spoilt_weights")).check();
    FAIL("a damaged package was opened");
  } catch (const Error& error) {
    CHECK(error.rule() == "crc32");
    CHECK(error.member() == "forward/portable/model.onnx.data");
    CHECK(std::string(error.what()).find("CRC-32") != std::string::npos);
  }
}

TEST_CASE("with integrity none, damaged weights are not looked at") {
  CHECK(status_of(spoil(100000, "spoilt_weights"), Integrity::none) == Status{});
}

TEST_CASE("errors of the C interface may be left out") {
  tl_package* package = nullptr;
  CHECK(tl_package_open("/nowhere", TL_INTEGRITY_CRC32, &package, nullptr) == TL_USAGE);
  CHECK(package == nullptr);
  CHECK(tl_package_open(nullptr, TL_INTEGRITY_CRC32, &package, nullptr) == TL_USAGE);
  tl_package_close(nullptr);
  tl_error_free(nullptr);
}
