// A shared library of one operator, `Twice` of the domain `transload.test`: its floats times two.
#include <onnxruntime_c_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

// Every runtime that is supported has it; what later versions of the struct add is not used.
constexpr std::uint32_t kApiVersion = 20, kOperatorVersion = 12;

const OrtApi* g_api = nullptr;

// A test's operator has nobody to tell of a failure, which would show in its result.
void ignore(OrtStatus* status) {
  if (status != nullptr) g_api->ReleaseStatus(status);
}

void compute(void*, OrtKernelContext* context) {
  const OrtValue* input = nullptr;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  std::size_t rank = 0, count = 0;
  std::int64_t shape[8] = {};
  OrtValue* output = nullptr;
  void *from = nullptr, *to = nullptr;
  ignore(g_api->KernelContext_GetInput(context, 0, &input));
  ignore(g_api->GetTensorTypeAndShape(input, &info));
  ignore(g_api->GetDimensionsCount(info, &rank));
  ignore(g_api->GetDimensions(info, shape, rank));
  ignore(g_api->GetTensorShapeElementCount(info, &count));
  g_api->ReleaseTensorTypeAndShapeInfo(info);
  ignore(g_api->KernelContext_GetOutput(context, 0, shape, rank, &output));
  ignore(g_api->GetTensorMutableData(const_cast<OrtValue*>(input), &from));
  ignore(g_api->GetTensorMutableData(output, &to));
  for (std::size_t index = 0; index < count; ++index) {
    static_cast<float*>(to)[index] = 2 * static_cast<const float*>(from)[index];
  }
}

OrtCustomOp make_twice() {
  OrtCustomOp op{};
  op.version = kOperatorVersion;
  op.CreateKernel = [](const OrtCustomOp* self, const OrtApi*, const OrtKernelInfo*) {
    return const_cast<void*>(static_cast<const void*>(self));
  };
  op.GetName = [](const OrtCustomOp*) { return "Twice"; };
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const OrtCustomOp*, std::size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return std::size_t{1}; };
  op.GetOutputType = op.GetInputType;
  op.GetOutputTypeCount = op.GetInputTypeCount;
  op.KernelCompute = compute;
  op.KernelDestroy = [](void*) {};
  op.GetInputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetOutputCharacteristic = op.GetInputCharacteristic;
  return op;
}

const OrtCustomOp kTwice = make_twice();

// One for each call, which has to outlive every session of its options: until the library is closed.
struct Domains {
  std::vector<OrtCustomOpDomain*> all;
  ~Domains() {
    for (OrtCustomOpDomain* domain : all) g_api->ReleaseCustomOpDomain(domain);
  }
} g_domains;

}  // namespace

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  g_api = base->GetApi(kApiVersion);
  OrtCustomOpDomain* domain = nullptr;
  OrtStatus* status = g_api->CreateCustomOpDomain("transload.test", &domain);
  if (status == nullptr) g_domains.all.push_back(domain);
  if (status == nullptr) status = g_api->CustomOpDomain_Add(domain, &kTwice);
  if (status == nullptr) status = g_api->AddCustomOpDomain(options, domain);
  return status;
}
