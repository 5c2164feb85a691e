// Fuzzes the rewriting of models: what comes out must be a model that is read again, with the same references.
#include <cstdlib>

#include "onnx_model.h"
#include "refuse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const tl::ModelOrigin origin : {tl::ModelOrigin::portable, tl::ModelOrigin::cache}) {
    try_parse(data, size, [&](std::string_view text) {
      const tl::zip::Member weights{"forward/portable/model.onnx.data", 1 << 20, 0, 0, 0};
      const tl::ModelPlace place{"model.onnx.data", &weights, "model.onnx.data", origin, {"com.microsoft"}};
      // The data begins at 0 of a file of the same name, so that rewriting once more must accept and change nothing.
      const tl::OnnxModel once = tl::point_into(text, "model.onnx", place);
      const tl::OnnxModel twice = tl::point_into(once.bytes, "model.onnx", place);
      if (once.bytes != twice.bytes) std::abort();
    });
  }
  return 0;
}
