// Fuzzes the reader of recorded tensors.
#include "refuse.h"
#include "tensor_proto.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return try_parse(data, size, [](std::string_view text) { tl::parse_tensor(text, "input_0.pb"); });
}
