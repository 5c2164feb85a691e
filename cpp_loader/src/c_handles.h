// What stands behind the opaque handles of the C interface, and how exceptions become statuses.
#pragma once

#include <transload/transload.h>

#include <memory>
#include <new>
#include <string>

#include "binding.h"
#include "error.h"
#include "model.h"
#include "package.h"

struct tl_error {
  tl::Error error;
};

struct tl_package {
  tl_package(const char* path, tl::Integrity integrity) : package(path, integrity), digest(package.digest()) {}
  tl::Package package;
  std::string digest;
};

struct tl_options {
  tl::ort::SessionSettings settings;
};

struct tl_model {
  std::shared_ptr<const tl::Model> model;
};

struct tl_tensor {
  std::shared_ptr<tl::Tensor> tensor;
};

struct tl_binding {
  tl::Binding binding;
};

struct tl_stream {
  tl::Stream stream;
};

namespace tl {

inline tl_status report(const Error& error, tl_error** place) noexcept {
  const auto status = static_cast<tl_status>(error.status);
  if (place == nullptr) return status;
  try {
    *place = new tl_error{error};
  } catch (...) {
    *place = nullptr;  // no memory even for the message; the status says enough
  }
  return status;
}

inline tl_status report_unexpected(const char* what, tl_error** place) noexcept {
  try {
    return report(Error(Status::execution, std::string("Unexpected: ") + what), place);
  } catch (...) {
    return TL_EXECUTION;
  }
}

// Runs `work`; whatever it throws ends here.
template <typename Work>
tl_status guard(tl_error** place, Work work) noexcept {
  if (place != nullptr) *place = nullptr;
  try {
    work();
    return TL_OK;
  } catch (const Error& error) {
    return report(error, place);
  } catch (const std::exception& error) {
    return report_unexpected(error.what(), place);
  } catch (...) {
    return report_unexpected("unknown", place);
  }
}

}  // namespace tl
