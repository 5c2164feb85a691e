// Who made a package: its signature by OpenSSF Model Signing 1.0 (docs/format.md, section 5), checked with a key.
#pragma once

#include <string>

#include "package.h"

namespace tl {

// Checks that every member of a package, which was opened with `Integrity::sha256`, is what the holder of a key signed.
// The signature is in the file `signature`; "" takes the one inside the package, else the one beside it.
// Throws Error: the rule `signature` (there is none, it is another's or tampered with, or members were changed, added
// or removed, which are named); usage (a file cannot be read, is no key, or there is no OpenSSL).
void check_signature(const Package& package, const std::string& public_key, const std::string& signature);

}  // namespace tl
