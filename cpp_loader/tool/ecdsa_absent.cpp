// The program was built without OpenSSL, and cryptography is not for us to write.
#include "ecdsa.h"
#include "error.h"

namespace tl {

bool is_signed(const std::string&, const std::string&, const std::string&) {
  throw usage_error("This transload-run was built without OpenSSL, and cannot check signatures.",
                    "Build it where CMake finds OpenSSL, or use transload verify --signed-by.");
}

}  // namespace tl
