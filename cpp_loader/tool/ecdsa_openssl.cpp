// ECDSA by OpenSSL.
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <new>

#include "ecdsa.h"
#include "error.h"

namespace tl {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Key read_key(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                       &BIO_free);
  if (text == nullptr) throw std::bad_alloc();
  return {PEM_read_bio_PUBKEY(text.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free};
}

// The digest that goes with the key's curve; null where it is none of ours.
const EVP_MD* digest_of(const EVP_PKEY* key) {
  if (key == nullptr || EVP_PKEY_base_id(key) != EVP_PKEY_EC) return nullptr;
  char name[32] = {};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(const_cast<EVP_PKEY*>(key), name, sizeof(name), &size) != 1) return nullptr;
  const std::string curve(name, size);
  if (curve == "prime256v1") return EVP_sha256();
  if (curve == "secp384r1") return EVP_sha384();
  if (curve == "secp521r1") return EVP_sha512();
  return nullptr;
}

const unsigned char* bytes_of(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

bool is_signed(const std::string& message, const std::string& signature, const std::string& public_key) {
  const Key key = read_key(public_key);
  const EVP_MD* digest = digest_of(key.get());
  if (digest == nullptr) throw usage_error("The file holds no public key (PEM) of P-256, P-384 or P-521.");
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (context == nullptr) throw std::bad_alloc();
  // 1 where the signature is good; 0 and negative where it is not, or is none.
  return EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
}

}  // namespace tl
