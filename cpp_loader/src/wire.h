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

namespace tl {

// protozero takes a tag's lower 32 bits and drops the others; protobuf's own parsers refuse it. `at` is where one
// begins that was read. Throws WireError.
inline void check_tag(const char* at) {
  constexpr int kMaxTagBytes = 5;
  int size = 1;
  for (; (static_cast<unsigned char>(*at) & 0x80) != 0; ++at) ++size;
  // The last of five bytes holds the upper four bits.
  const bool is_over = size == kMaxTagBytes && static_cast<unsigned char>(*at) > 0x0F;
  if (size > kMaxTagBytes || is_over) throw WireError("a tag has more than 32 bits");
}

}  // namespace tl
