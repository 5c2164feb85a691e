// Checking a signature of the Elliptic Curve Digital Signature Algorithm (FIPS 186-5), by OpenSSL where there was one.
#pragma once

#include <string>

namespace tl {

// Whether `signature` (DER) of `message` was made with the private key of `public_key` (PEM), on P-256 with SHA-256, on
// P-384 with SHA-384 or on P-521 with SHA-512.
// Throws Error (usage): it is no public key of these curves, or this program was built without OpenSSL.
bool is_signed(const std::string& message, const std::string& signature, const std::string& public_key);

}  // namespace tl
