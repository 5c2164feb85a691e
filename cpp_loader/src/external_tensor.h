// One tensor's reference to external data: checked, and pointed into the package file.
#pragma once

#include <string>
#include <vector>

#include "onnx_model.h"
#include "wire.h"

namespace tl {

// The bytes from `begin` to `end` are to become `bytes`.
struct Edit {
  const char* begin;
  const char* end;
  std::string bytes;
};

// Whether a TensorProto's data is outside of the model, or claims to be.
bool is_outside(protozero::pbf_reader tensor);

// The edits that point a TensorProto into the package; none where its data is inside. Throws Error (rules
// `external-data`, `onnx-tensors`), WireError, protozero::exception.
std::vector<Edit> point_tensor(protozero::pbf_reader tensor, const std::string& member, const ModelPlace& place);

}  // namespace tl
