// SHA-256 by OpenSSL, which uses the processor's own instructions.
#include <openssl/evp.h>

#include <new>

#include "hex.h"
#include "sha256.h"

namespace tl {

std::string sha256(std::string_view data) {
  std::string digest(32, '\0');
  if (EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr, EVP_sha256(),
                 nullptr) != 1) {
    throw std::bad_alloc();
  }
  return to_hex(digest);
}

}  // namespace tl
