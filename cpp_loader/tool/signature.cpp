// Reading a Sigstore bundle with an in-toto statement, and comparing what it lists with a package's members.
#include "signature.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include "ecdsa.h"
#include "error.h"
#include "json.h"
#include "schema.h"
#include "sha256.h"

namespace tl {
namespace {

using json::Value;
using Kind = json::Value::Kind;

constexpr char kRule[] = "signature";
constexpr char kPayloadType[] = "application/vnd.in-toto+json";
constexpr char kStatementType[] = "https://in-toto.io/Statement/v1";
constexpr char kPredicateType[] = "https://model_signing/signature/v1.0";

Error bad_signature(const std::string& why) {
  return package_error("The signature is not good: " + why, kSignatureName, kRule);
}

// The file's text, or as much of it as shows that it is longer than any key or signature.
std::string read_file(const std::string& path) {
  std::string text(json::kMaxBytes + 1, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) throw usage_error("Cannot read " + path + ": " + std::strerror(errno) + ".");
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

bool is_there(const std::string& path) { return std::ifstream(path).good(); }

std::string read_signature(const Package& package, const std::string& given) {
  if (given.empty() && package.archive().find(kSignatureName) != nullptr) {
    package.archive().check_crc32(kSignatureName);
    return std::string(package.archive().view(kSignatureName));
  }
  const MappedFile& file = package.archive().file();
  const std::string path = given.empty() ? file.folder() + "/" + file.file_name() + ".sig" : given;
  if (given.empty() && !is_there(path)) throw package_error("The package is not signed.", "", kRule);
  return read_file(path);
}

std::string decode_base64(const std::string& text) {
  constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) throw bad_signature("text that is not base64.");
  std::string bytes;
  std::uint32_t bits = 0;
  std::size_t padding = 0;
  for (std::size_t index = 0; index < text.size(); ++index) {
    const char* letter = text[index] == '\0' ? nullptr : std::strchr(kLetters, text[index]);
    const bool is_padding = text[index] == '=' && index + 2 >= text.size();
    if (is_padding) ++padding;
    // Nothing but padding comes after padding.
    if (is_padding ? false : letter == nullptr || padding != 0) throw bad_signature("text that is not base64.");
    bits = bits << 6 | (is_padding ? 0 : static_cast<std::uint32_t>(letter - kLetters));
    if (index % 4 == 3) {
      for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(bits >> shift & 0xFF));
      bits = 0;
    }
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

// DSSE's pre-authentication encoding.
std::string encode_for_signing(const std::string& type, const std::string& payload) {
  return "DSSEv1 " + std::to_string(type.size()) + " " + type + " " + std::to_string(payload.size()) + " " + payload;
}

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (std::size_t index = 0; index + 1 < digits.size(); index += 2) {
    bytes.push_back(static_cast<char>(std::stoi(digits.substr(index, 2), nullptr, 16)));
  }
  return bytes;
}

// The signed members' SHA-256 by name. Throws Error: the statement is of another kind, or contradicts itself.
std::map<std::string, std::string> read_statement(const std::string& payload) {
  const Value statement = json::parse(payload, kSignatureName);
  const Schema schema(kSignatureName, kRule);
  if (schema.text(statement, "_type") != kStatementType || schema.text(statement, "predicateType") != kPredicateType) {
    throw bad_signature("it signs something else than a model.");
  }
  const Value& subjects = schema.field(statement, "subject", Kind::list);
  if (subjects.items.size() != 1) throw bad_signature("it has not one subject.");
  const Value& whole = schema.field(subjects.items[0], "digest", Kind::object);
  std::map<std::string, std::string> digests;
  std::string bytes;
  const Value& predicate = schema.field(statement, "predicate", Kind::object);
  for (const Value& resource : schema.field(predicate, "resources", Kind::list).items) {
    const std::string& digest = schema.text(resource, "digest");
    const bool is_new = digests.emplace(schema.text(resource, "name"), digest).second;
    if (!is_new || schema.text(resource, "algorithm") != "sha256" || !is_sha256(digest)) {
      throw bad_signature("a member is listed twice, or not by its SHA-256.");
    }
    bytes += from_hex(digest);
  }
  if (schema.text(whole, "sha256") != sha256(bytes)) throw bad_signature("its digests are not those of its subject.");
  return digests;
}

void add_name(std::string& names, const std::string& name) { names += (names.empty() ? "" : ", ") + name; }

// What is changed, added and missing in a package, in words; "" where nothing is.
std::string find_changes(const std::map<std::string, std::string>& signed_digests, const Package& package) {
  std::map<std::string, std::string> ours = {{kManifestName, package.digest()}};
  for (const MemberEntry& entry : package.manifest().members) ours[entry.name] = entry.sha256;
  std::string changed, added, missing, text;
  for (const auto& [name, digest] : ours) {
    const auto found = signed_digests.find(name);
    if (found == signed_digests.end()) {
      add_name(added, name);
    } else if (found->second != digest) {
      add_name(changed, name);
    }
  }
  for (const auto& [name, digest] : signed_digests) {
    if (ours.count(name) == 0) add_name(missing, name);
  }
  for (const auto& [word, names] : {std::pair("changed", changed), {"added", added}, {"missing", missing}}) {
    if (!names.empty()) text += (text.empty() ? "" : "; ") + std::string(word) + ": " + names;
  }
  return text;
}

}  // namespace

void check_signature(const Package& package, const std::string& public_key, const std::string& signature) {
  const std::string key = read_file(public_key);
  const Value bundle = json::parse(read_signature(package, signature), kSignatureName);
  const Schema schema(kSignatureName, kRule);
  const Value& envelope = schema.field(bundle, "dsseEnvelope", Kind::object);
  const std::string type = schema.text(envelope, "payloadType");
  const std::string payload = decode_base64(schema.text(envelope, "payload"));
  const Value& signatures = schema.field(envelope, "signatures", Kind::list);
  if (type != kPayloadType || signatures.items.size() != 1) throw bad_signature("it is not one of a statement.");
  const std::string made = decode_base64(schema.text(signatures.items[0], "sig"));
  if (!is_signed(encode_for_signing(type, payload), made, key)) {
    throw bad_signature("it was not made with this key, or was tampered with.");
  }
  const std::string changes = find_changes(read_statement(payload), package);
  if (!changes.empty()) throw bad_signature(changes);
}

}  // namespace tl
