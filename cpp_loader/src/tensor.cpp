// Making tensors.
#include "tensor.h"

#include <cstring>

#include "error.h"

namespace tl {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : ",") + std::to_string(size);
  return "[" + text + "]";
}

Tensor describe_tensor(Dtype dtype, std::vector<std::int64_t> shape) {
  const auto count = element_count(shape.data(), shape.size());
  const auto size = count ? size_in_bytes(dtype, *count) : std::nullopt;
  if (!size || *size > PTRDIFF_MAX) {
    throw usage_error("A tensor of shape " + shape_text(shape) + " cannot be.");
  }
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.count = *count;
  tensor.size_bytes = static_cast<std::size_t>(*size);
  return tensor;
}

// Where a tensor without bytes points: ONNX Runtime takes no null pointer.
char kNothing[1];

void attach(Tensor& tensor, void* data) {
  OrtMemoryInfo* info = nullptr;
  ort::check(ort::api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &info), "tensor");
  const ort::MemoryInfo owner(info);
  OrtValue* value = nullptr;
  ort::check(
      ort::api().CreateTensorWithDataAsOrtValue(info, data, tensor.size_bytes, tensor.shape.data(), tensor.shape.size(),
                                                static_cast<ONNXTensorElementDataType>(tensor.dtype), &value),
      "tensor");
  tensor.value.reset(value);
  tensor.data = data;
}

std::vector<std::string> copy_strings(const OrtValue& value, std::uint64_t count) {
  std::size_t size = 0;
  ort::check(ort::api().GetStringTensorDataLength(&value, &size), "strings");
  std::string all(size, '\0');
  std::vector<std::size_t> offsets(static_cast<std::size_t>(count));
  ort::check(ort::api().GetStringTensorContent(&value, all.data(), size, offsets.data(), offsets.size()), "strings");
  std::vector<std::string> strings;
  for (std::size_t index = 0; index < offsets.size(); ++index) {
    const std::size_t end = index + 1 < offsets.size() ? offsets[index + 1] : size;
    strings.push_back(all.substr(offsets[index], end - offsets[index]));
  }
  return strings;
}

}  // namespace

Tensor wrap_tensor(Dtype dtype, std::vector<std::int64_t> shape, void* data, std::size_t size_bytes) {
  if (dtype == Dtype::string) throw usage_error("Strings cannot be wrapped.", "Make a tensor of strings.");
  Tensor tensor = describe_tensor(dtype, std::move(shape));
  if (tensor.size_bytes != size_bytes || (data == nullptr && size_bytes != 0)) {
    throw usage_error("A tensor " + std::string(dtype_name(dtype)) + shape_text(tensor.shape) + " needs " +
                      std::to_string(tensor.size_bytes) + " bytes; " + std::to_string(size_bytes) + " were given.");
  }
  attach(tensor, data == nullptr ? kNothing : data);
  return tensor;
}

Tensor make_tensor(Dtype dtype, std::vector<std::int64_t> shape) {
  if (dtype == Dtype::string) throw usage_error("Strings have no size of their own.", "Make a tensor of strings.");
  Tensor tensor = describe_tensor(dtype, std::move(shape));
  tensor.memory.reset(new char[tensor.size_bytes + 1]());
  attach(tensor, tensor.memory.get());
  return tensor;
}

Tensor make_strings(std::vector<std::int64_t> shape, std::vector<std::string> strings) {
  Tensor tensor = describe_tensor(Dtype::string, std::move(shape));
  if (tensor.count != strings.size()) {
    throw usage_error("A tensor string" + shape_text(tensor.shape) + " needs " + std::to_string(tensor.count) +
                      " strings; " + std::to_string(strings.size()) + " were given.");
  }
  OrtAllocator* allocator = nullptr;
  ort::check(ort::api().GetAllocatorWithDefaultOptions(&allocator), "strings");
  OrtValue* value = nullptr;
  ort::check(ort::api().CreateTensorAsOrtValue(allocator, tensor.shape.data(), tensor.shape.size(),
                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value),
             "strings");
  tensor.value.reset(value);
  tensor.strings = std::move(strings);
  for (std::size_t index = 0; index < tensor.strings.size(); ++index) {
    ort::check(ort::api().FillStringTensorElement(value, tensor.strings[index].c_str(), index), "strings");
  }
  return tensor;
}

Tensor from_values(const TensorValues& values) {
  if (values.dtype == Dtype::string) return make_strings(values.shape, values.strings);
  Tensor tensor = make_tensor(values.dtype, values.shape);
  std::memcpy(tensor.data, values.bytes.data(), values.bytes.size());
  return tensor;
}

Tensor adopt_value(ort::Value value) {
  const OrtApi& api = ort::api();
  OrtTensorTypeAndShapeInfo* info = nullptr;
  ort::check(api.GetTensorTypeAndShape(value.get(), &info), "result");
  const ort::TypeAndShape owner(info);
  ONNXTensorElementDataType type{};
  ort::check(api.GetTensorElementType(info, &type), "result");
  std::size_t rank = 0;
  ort::check(api.GetDimensionsCount(info, &rank), "result");
  std::vector<std::int64_t> shape(rank);
  ort::check(api.GetDimensions(info, shape.data(), rank), "result");
  const auto dtype = dtype_from_onnx(type);
  if (!dtype) throw Error(Status::execution, "A result has an element type that transload does not carry.");
  Tensor tensor = describe_tensor(*dtype, std::move(shape));
  if (*dtype == Dtype::string) {
    tensor.strings = copy_strings(*value, tensor.count);
  } else {
    ort::check(api.GetTensorMutableData(value.get(), &tensor.data), "result");
  }
  tensor.value = std::move(value);
  return tensor;
}

}  // namespace tl
