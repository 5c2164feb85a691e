// ONNX Runtime's C API: found by version, its handles owned, its statuses turned into errors.
#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>
#include <vector>

namespace tl::ort {

// The API table of the loaded ONNX Runtime, of the headers' version or the newest that it has.
// Throws Error: it is older than 1.20.
const OrtApi& api();

// "1.31.1"
std::string version();

// What ONNX Runtime says of its build, in one line.
std::string build_info();

// Whether a device is the CPU, or `auto` and there is no other. Throws Error (usage): it makes no sense.
bool is_cpu(const std::string& device);

// Throws Error where `status` is not OK (unsupported: no kernel for an operator; execution: anything else), and frees
// it.
void check(OrtStatus* status, const std::string& where);

template <typename T>
struct Releaser {
  void operator()(T* handle) const;
};

template <typename T>
using Owned = std::unique_ptr<T, Releaser<T>>;

using Env = Owned<OrtEnv>;
using Session = Owned<OrtSession>;
using SessionOptions = Owned<OrtSessionOptions>;
using MemoryInfo = Owned<OrtMemoryInfo>;
using TypeAndShape = Owned<OrtTensorTypeAndShapeInfo>;
using Value = Owned<OrtValue>;

struct SessionSettings {
  std::string device = "auto";              // auto, cpu, cuda, cuda:N
  int threads = 0;                          // intra-op; 0 leaves the choice to ONNX Runtime
  bool optimize = true;                     // graph optimisations
  bool prepack = true;                      // copies of weights in the layout of faster kernels
  bool tuned = true;                        // whether a variant that was tuned for this host is looked for
  bool arena = true;                        // memory is kept between calls
  bool flush_to_zero = false;               // denormal numbers become zero
  bool adds_exactly = false;                // the graph holds no product of bytes that a kernel may add wrongly
  std::vector<std::string> libraries = {};  // files with operators of the domains that the interface declares
};

// A session from a model's bytes whose external data lies in `folder`.
// Throws Error: usage (the device), unsupported, execution.
Session create_session(const OrtEnv& env, const std::string& model, const std::string& folder,
                       const SessionSettings& settings, const std::string& where);

Env create_env();

// How a model that comes as bytes must call the file of its external data. ONNX Runtime 1.21 and later look for a name
// in the folder of `create_session`, and refuse paths; 1.20 has no such folder, and needs the whole path.
std::string external_location(const std::string& folder, const std::string& file_name);

}  // namespace tl::ort
