// Fuzzes the reader of interface.json.
#include "interface.h"
#include "refuse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return try_parse(data, size, [](std::string_view text) { tl::parse_interface(text, "interface.json"); });
}
