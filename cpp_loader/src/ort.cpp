// Talking to ONNX Runtime.
#include "ort.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "error.h"
#include "integer_sums.h"
#include "manifest.h"

namespace tl::ort {
namespace {

constexpr std::uint32_t kOldestVersion = 20, kFolderOptionVersion = 21;
constexpr char kSpace[] = " \t\n\v\f\r";
constexpr char kCuda[] = "CUDAExecutionProvider";

// The 31 of "1.31.1", which is also the number of its API; whatever comes after the 1.x has all that they have.
std::uint32_t api_version(const std::string& release) {
  if (release.compare(0, 2, "1.") != 0) return std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::strtoul(release.c_str() + 2, nullptr, 10));
}

bool has_provider(const char* wanted) {
  char** names = nullptr;
  int count = 0;
  check(api().GetAvailableProviders(&names, &count), "providers");
  const bool found = std::any_of(names, names + count, [&](const char* name) { return !std::strcmp(name, wanted); });
  check(api().ReleaseAvailableProviders(names, count), "providers");
  return found;
}

// The number of the CUDA device that `device` asks for, or "" for the CPU.
std::string cuda_device(const std::string& device) {
  if (device == "cpu") return "";
  if (device == "auto") return has_provider(kCuda) ? "0" : "";
  std::string number = device == "cuda" ? "0" : device.compare(0, 5, "cuda:") == 0 ? device.substr(5) : "";
  if (number.empty() || number.find_first_not_of("0123456789") != std::string::npos) {
    throw usage_error("Unknown device " + quoted(device) + ".", "Choose auto, cpu, cuda or cuda:N.");
  }
  if (!has_provider(kCuda)) {
    throw usage_error("This build of ONNX Runtime has no CUDAExecutionProvider.",
                      "Use a build for GPUs, or choose the device cpu or auto.");
  }
  return number;
}

void append_cuda(OrtSessionOptions& options, const std::string& number, const std::string& where) {
  OrtCUDAProviderOptionsV2* cuda = nullptr;
  check(api().CreateCUDAProviderOptions(&cuda), where);
  const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api().ReleaseCUDAProviderOptions)> owner(
      cuda, api().ReleaseCUDAProviderOptions);
  const char* keys[] = {"device_id"};
  const char* values[] = {number.c_str()};
  check(api().UpdateCUDAProviderOptions(cuda, keys, values, 1), where);
  check(api().SessionOptionsAppendExecutionProvider_CUDA_V2(&options, cuda), where);
}

Session create_on(const OrtEnv& env, const std::string& model, const std::string& folder,
                  const SessionSettings& settings, const std::string& cuda, const std::string& where) {
  OrtSessionOptions* raw = nullptr;
  check(api().CreateSessionOptions(&raw), where);
  const SessionOptions options(raw);
  // What matters comes as a status; the rest would be chatter on stderr.
  check(api().SetSessionLogSeverityLevel(raw, ORT_LOGGING_LEVEL_FATAL), where);
  check(api().AddSessionConfigEntry(raw, kFolderOption, folder.c_str()), where);
  if (settings.threads > 0) check(api().SetIntraOpNumThreads(raw, settings.threads), where);
  if (!settings.optimize) check(api().SetSessionGraphOptimizationLevel(raw, ORT_DISABLE_ALL), where);
  if (!settings.prepack) check(api().AddSessionConfigEntry(raw, "session.disable_prepacking", "1"), where);
  if (!settings.arena) check(api().DisableCpuMemArena(raw), where);
  if (settings.flush_to_zero) check(api().AddSessionConfigEntry(raw, "session.set_denormal_as_zero", "1"), where);
  for (const std::string& library : settings.libraries) {
    check(api().RegisterCustomOpsLibrary_V2(raw, library.c_str()), where);
  }
  if (!cuda.empty()) append_cuda(*raw, cuda, where);
  const Sums sums = settings.adds_exactly ? Sums::as_they_are : sums_of(env, model);
  add_exactly(*raw, sums, settings.optimize);
  OrtSession* session = nullptr;
  const auto create = [&] {
    check(api().CreateSessionFromArray(&env, model.data(), model.size(), raw, &session), where);
  };
  try {
    create();
  } catch (const Error& error) {
    if (sums == Sums::as_they_are) throw;
    if (sums == Sums::of_operators) {
      throw Error(Status::unsupported,
                  "ONNX Runtime has no kernel that adds this model's products of bytes exactly: " + error.text,
                  "Run the model on a processor with VNNI, or quantize it with unsigned activations.", where);
    }
    leave_out_fusions(*raw, settings.optimize);
    create();
  }
  return Session(session);
}

}  // namespace

std::string version() { return OrtGetApiBase()->GetVersionString(); }

std::string build_info() {
  const std::string text = api().GetBuildInfoString();
  std::string line;
  for (std::size_t begin = text.find_first_not_of(kSpace); begin != std::string::npos;) {
    const std::size_t end = std::min(text.find_first_of(kSpace, begin), text.size());
    line += (line.empty() ? "" : " ") + text.substr(begin, end - begin);
    begin = text.find_first_not_of(kSpace, end);
  }
  return line;
}

bool is_cpu(const std::string& device) { return cuda_device(device).empty(); }

const OrtApi& api() {
  // Asked for nothing that it lacks, since it would say so on stderr.
  const std::string found = version();
  const std::uint32_t asked = std::min<std::uint32_t>(api_version(found), ORT_API_VERSION);
  const OrtApi* table = asked < kOldestVersion ? nullptr : OrtGetApiBase()->GetApi(asked);
  if (table == nullptr) {
    throw Error(Status::execution, "ONNX Runtime " + found + " cannot be used.",
                "Install ONNX Runtime 1.20 or a later 1.x.");
  }
  return *table;
}

void check(OrtStatus* status, const std::string& where) {
  if (status == nullptr) return;
  const std::unique_ptr<OrtStatus, decltype(api().ReleaseStatus)> owner(status, api().ReleaseStatus);
  const std::string message = api().GetErrorMessage(status);
  if (api().GetErrorCode(status) == ORT_NOT_IMPLEMENTED) {
    throw Error(Status::unsupported, "ONNX Runtime has no kernel for an operator of this model: " + message, "", where);
  }
  throw Error(Status::execution, "ONNX Runtime failed: " + message, "", where);
}

template <>
void Releaser<OrtEnv>::operator()(OrtEnv* handle) const {
  api().ReleaseEnv(handle);
}
template <>
void Releaser<OrtSession>::operator()(OrtSession* handle) const {
  api().ReleaseSession(handle);
}
template <>
void Releaser<OrtSessionOptions>::operator()(OrtSessionOptions* handle) const {
  api().ReleaseSessionOptions(handle);
}
template <>
void Releaser<OrtMemoryInfo>::operator()(OrtMemoryInfo* handle) const {
  api().ReleaseMemoryInfo(handle);
}
template <>
void Releaser<OrtTensorTypeAndShapeInfo>::operator()(OrtTensorTypeAndShapeInfo* handle) const {
  api().ReleaseTensorTypeAndShapeInfo(handle);
}
template <>
void Releaser<OrtValue>::operator()(OrtValue* handle) const {
  api().ReleaseValue(handle);
}

Env create_env() {
  OrtEnv* env = nullptr;
  check(api().CreateEnv(ORT_LOGGING_LEVEL_FATAL, "transload", &env), "environment");
  return Env(env);
}

std::string external_location(const std::string& folder, const std::string& file_name) {
  return api_version(version()) < kFolderOptionVersion ? folder + "/" + file_name : file_name;
}

Session create_session(const OrtEnv& env, const std::string& model, const std::string& folder,
                       const SessionSettings& settings, const std::string& where) {
  const std::string cuda = cuda_device(settings.device);
  if (cuda.empty() || settings.device != "auto") return create_on(env, model, folder, settings, cuda, where);
  try {
    return create_on(env, model, folder, settings, cuda, where);
  } catch (const Error& error) {
    if (error.status != Status::execution) throw;
    // `auto` promises a model that runs: a GPU that cannot be used leaves the CPU.
    return create_on(env, model, folder, settings, "", where);
  }
}

}  // namespace tl::ort
