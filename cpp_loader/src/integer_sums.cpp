#include "integer_sums.h"

#include <algorithm>
#include <iterator>

#include "ort.h"

namespace tl::ort {
namespace {

constexpr char kWhere[] = "the kernels for bytes", kOption[] = "session.x64quantprecision";

// The operators that are such kernels themselves.
constexpr const char* kIntegerOperators[] = {"MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"};
// What optimisations put into such kernels together with the operator behind it.
constexpr char kFusedOperator[] = "DequantizeLinear";

// The model y = MatMulInteger(four bytes 255, four signed bytes 127); runtime/integer_sums.py has the same.
constexpr unsigned char kProbe[] = {
    0x08, 0x05, 0x3a, 0x54, 0x0a, 0x18, 0x0a, 0x01, 0x78, 0x0a, 0x01, 0x77, 0x12, 0x01, 0x79, 0x22,
    0x0d, 0x4d, 0x61, 0x74, 0x4d, 0x75, 0x6c, 0x49, 0x6e, 0x74, 0x65, 0x67, 0x65, 0x72, 0x12, 0x01,
    0x70, 0x2a, 0x0f, 0x08, 0x01, 0x08, 0x04, 0x10, 0x02, 0x42, 0x01, 0x78, 0x4a, 0x04, 0xff, 0xff,
    0xff, 0xff, 0x2a, 0x0f, 0x08, 0x04, 0x08, 0x01, 0x10, 0x03, 0x42, 0x01, 0x77, 0x4a, 0x04, 0x7f,
    0x7f, 0x7f, 0x7f, 0x62, 0x13, 0x0a, 0x01, 0x79, 0x12, 0x0e, 0x0a, 0x0c, 0x08, 0x06, 0x12, 0x08,
    0x0a, 0x02, 0x08, 0x01, 0x0a, 0x02, 0x08, 0x01, 0x42, 0x04, 0x0a, 0x00, 0x10, 0x0a};
constexpr std::int32_t kExactSum = 4 * 255 * 127;

bool ask(const OrtEnv& env) {
  OrtSessionOptions* raw = nullptr;
  check(api().CreateSessionOptions(&raw), kWhere);
  const SessionOptions options(raw);
  check(api().SetIntraOpNumThreads(raw, 1), kWhere);
  // Else the sum would be taken before the kernel is asked.
  check(api().SetSessionGraphOptimizationLevel(raw, ORT_DISABLE_ALL), kWhere);
  OrtSession* made = nullptr;
  check(api().CreateSessionFromArray(&env, kProbe, sizeof kProbe, raw, &made), kWhere);
  const Session session(made);
  const char* output_name = "y";
  OrtValue* output = nullptr;
  check(api().Run(made, nullptr, nullptr, nullptr, 0, &output_name, 1, &output), kWhere);
  const Value value(output);
  void* data = nullptr;
  check(api().GetTensorMutableData(output, &data), kWhere);
  return *static_cast<const std::int32_t*>(data) == kExactSum;
}

// Whether the default kernels add exactly on this processor; asked once.
bool adds_exactly(const OrtEnv& env) {
  static const bool exact = ask(env);
  return exact;
}

}  // namespace

Sums sums_of(const OrtEnv& env, const std::string& model) {
  const auto has = [&](const char* name) { return model.find(name) != std::string::npos; };
  const bool has_own = std::any_of(std::begin(kIntegerOperators), std::end(kIntegerOperators), has);
  if (!(has_own || has(kFusedOperator)) || adds_exactly(env)) return Sums::as_they_are;
  return has_own ? Sums::of_operators : Sums::of_fusions;
}

void add_exactly(OrtSessionOptions& options, Sums sums, bool optimize) {
  if (sums == Sums::as_they_are) return;
  check(api().AddSessionConfigEntry(&options, kOption, "1"), kWhere);
  if (sums == Sums::of_operators && !optimize) {
    check(api().SetSessionGraphOptimizationLevel(&options, ORT_ENABLE_EXTENDED), kWhere);
  }
}

void leave_out_fusions(OrtSessionOptions& options, bool optimize) {
  check(api().AddSessionConfigEntry(&options, kOption, "0"), kWhere);
  if (optimize) check(api().SetSessionGraphOptimizationLevel(&options, ORT_ENABLE_BASIC), kWhere);
}

}  // namespace tl::ort
