// ONNX Runtime's 8-bit kernels add exactly on every processor.
#pragma once

#include <onnxruntime_c_api.h>

#include <string>

namespace tl::ort {

// How a serialized model has to be opened on this processor. ONNX Runtime's products of unsigned by signed bytes add pairs
// of products in 16 bits on x86 processors without VNNI, where 255 * 127 + 255 * 127 becomes 32767.
enum class Sums {
  as_they_are,  // no such product, or they are exact here
  of_operators, // of integer operators of the model: with the option that makes them exact
  of_fusions,   // of kernels into which optimisations put quantized tensors: with the option, or without these fusions
};

// Throws Error (execution): ONNX Runtime failed.
Sums sums_of(const OrtEnv& env, const std::string& model);

// Sets the option. It takes effect among optimisations: for operators of the model these are switched on, where
// `optimize` says that they are off.
void add_exactly(OrtSessionOptions& options, Sums sums, bool optimize);

// Takes the option back, and with it the fusions; quantized tensors are computed as floats then.
void leave_out_fusions(OrtSessionOptions& options, bool optimize);

}  // namespace tl::ort
