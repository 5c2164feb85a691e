// SHA-256 (FIPS 180-4). Two implementations, chosen when building: our own, which needs nothing, or OpenSSL's.
#pragma once

#include <string>
#include <string_view>

namespace tl {

// The digest as lowercase hex.
std::string sha256(std::string_view data);

}  // namespace tl
