// The C interface: versions, errors, packages, options.
#include <cstdlib>

#include "c_handles.h"
#include "version.h"

using tl::guard;
using tl::usage_error;

extern "C" {

const char* tl_version(void) { return TRANSLOAD_VERSION; }
const char* tl_runtime_version(void) { return OrtGetApiBase()->GetVersionString(); }

tl_status tl_error_status(const tl_error* error) { return static_cast<tl_status>(error->error.status); }
const char* tl_error_message(const tl_error* error) { return error->error.text.c_str(); }
const char* tl_error_where(const tl_error* error) { return error->error.where.c_str(); }
const char* tl_error_hint(const tl_error* error) { return error->error.hint.c_str(); }
const char* tl_error_member(const tl_error* error) { return error->error.member.c_str(); }
const char* tl_error_rule(const tl_error* error) { return error->error.rule.c_str(); }
void tl_error_free(tl_error* error) { delete error; }

tl_status tl_package_open(const char* path, tl_integrity integrity, tl_package** package, tl_error** error) {
  return guard(error, [&] {
    *package = nullptr;
    if (path == nullptr || integrity < TL_INTEGRITY_NONE || integrity > TL_INTEGRITY_SHA256) {
      throw usage_error("The path is NULL, or the integrity is not none, crc32 or sha256.");
    }
    *package = new tl_package(path, static_cast<tl::Integrity>(integrity));
  });
}

void tl_package_close(tl_package* package) { delete package; }
const char* tl_package_name(const tl_package* package) { return package->package.manifest().package_name.c_str(); }
const char* tl_package_digest(const tl_package* package) { return package->digest.c_str(); }
size_t tl_package_component_count(const tl_package* package) { return package->package.manifest().components.size(); }

const char* tl_package_component_name(const tl_package* package, size_t index) {
  const auto& components = package->package.manifest().components;
  return index < components.size() ? components[index].name.c_str() : nullptr;
}

tl_status tl_package_check(const tl_package* package, tl_error** error) {
  return guard(error, [&] { package->package.check_components(); });
}

tl_status tl_options_create(tl_options** options, tl_error** error) {
  return guard(error, [&] { *options = new tl_options(); });
}

tl_status tl_options_set(tl_options* options, const char* key, const char* value, tl_error** error) {
  return guard(error, [&] {
    const std::string name = key, text = value;
    const bool is_number =
        !text.empty() && text.size() < 5 && text.find_first_not_of("0123456789") == std::string::npos;
    const bool is_switch = text == "0" || text == "1";
    if (name == "device") {
      options->settings.device = text;
    } else if (name == "threads" && is_number) {
      options->settings.threads = std::atoi(value);
    } else if (name == "optimize" && is_switch) {
      options->settings.optimize = text == "1";
    } else if (name == "prepack" && is_switch) {
      options->settings.prepack = text == "1";
    } else if (name == "tuned" && is_switch) {
      options->settings.tuned = text == "1";
    } else if (name == "library" && !text.empty()) {
      options->settings.libraries.push_back(text);
    } else {
      throw usage_error("The option " + tl::quoted(name) + " with the value " + tl::quoted(text) + " makes no sense.",
                        "Options: device=auto|cpu|cuda|cuda:N, threads=NUMBER, optimize=0|1, prepack=0|1, "
                        "tuned=0|1, library=FILE.");
    }
  });
}

void tl_options_free(tl_options* options) { delete options; }

}  // extern "C"
