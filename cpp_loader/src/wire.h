// protozero, its checks of wire types made to throw; release builds drop them otherwise. Include nothing of it
// directly.
#pragma once

#include <stdexcept>

namespace tl {

struct WireError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require_wire(bool holds, const char* claim) {
  if (!holds) throw WireError(claim);
}

}  // namespace tl

#define protozero_assert(claim) ::tl::require_wire(static_cast<bool>(claim), #claim)
#include <protozero/pbf_reader.hpp>
#include <protozero/varint.hpp>
