// The C interface: models, tensors, running, bindings, streams.
#include <numeric>

#include "c_handles.h"

using tl::guard;
using tl::usage_error;

namespace {

tl_tensor_info* handle_of(const tl::TensorInfo& info) {
  return reinterpret_cast<tl_tensor_info*>(const_cast<tl::TensorInfo*>(&info));
}

const tl::TensorInfo& info_of(const tl_tensor_info* handle) { return *reinterpret_cast<const tl::TensorInfo*>(handle); }

tl::Dtype dtype_of(tl_dtype dtype) {
  if (const auto found = tl::dtype_from_onnx(dtype)) return *found;
  throw usage_error("The number " + std::to_string(dtype) + " is not an element type.");
}

std::vector<std::int64_t> shape_of(const int64_t* shape, size_t rank) { return {shape, shape + rank}; }

std::vector<tl::Feed> feed_of(const char* const* names, const tl_tensor* const* tensors, size_t count) {
  std::vector<tl::Feed> feed;
  for (size_t index = 0; index < count; ++index) {
    if (names[index] == nullptr || tensors[index] == nullptr) throw usage_error("An input is NULL.");
    feed.push_back({names[index], tensors[index]->tensor.get()});
  }
  return feed;
}

std::vector<std::size_t> positions_of(const tl::Model& model, const char* const* names, size_t count, size_t all) {
  std::vector<std::size_t> positions(count);
  if (names == nullptr) {
    if (count != all) {
      throw usage_error("The model has " + std::to_string(all) + " outputs; there is room for " +
                        std::to_string(count) + ".");
    }
    std::iota(positions.begin(), positions.end(), std::size_t{0});
    return positions;
  }
  for (size_t index = 0; index < count; ++index) positions[index] = model.output_index(names[index]);
  return positions;
}

// Handles for all tensors, or none: what was made is freed where a later one fails.
void hand_out(std::vector<std::shared_ptr<tl::Tensor>> tensors, tl_tensor** outputs) {
  std::vector<std::unique_ptr<tl_tensor>> handles;
  handles.reserve(tensors.size());
  for (auto& tensor : tensors) handles.push_back(std::make_unique<tl_tensor>(tl_tensor{std::move(tensor)}));
  for (std::size_t index = 0; index < handles.size(); ++index) outputs[index] = handles[index].release();
}

tl_tensor* new_tensor(tl::Tensor tensor) { return new tl_tensor{std::make_shared<tl::Tensor>(std::move(tensor))}; }

}  // namespace

extern "C" {

tl_status tl_model_open(const tl_package* package, const char* component, const tl_options* options, tl_model** model,
                        tl_error** error) {
  return guard(error, [&] {
    *model = nullptr;
    *model =
        new tl_model{std::make_shared<tl::Model>(package->package, component == nullptr ? "" : component,
                                                 options == nullptr ? tl::ort::SessionSettings{} : options->settings)};
  });
}

void tl_model_close(tl_model* model) { delete model; }
const char* tl_model_variant(const tl_model* model) { return model->model->is_tuned() ? "tuned" : "portable"; }
size_t tl_model_input_count(const tl_model* model) { return model->model->inputs().size(); }
size_t tl_model_output_count(const tl_model* model) { return model->model->outputs().size(); }
size_t tl_model_result_count(const tl_model* model) { return model->model->interface().result_count; }

const tl_tensor_info* tl_model_input(const tl_model* model, size_t index) {
  return index < model->model->inputs().size() ? handle_of(model->model->inputs()[index]) : nullptr;
}

const tl_tensor_info* tl_model_output(const tl_model* model, size_t index) {
  return index < model->model->outputs().size() ? handle_of(model->model->outputs()[index]) : nullptr;
}

tl_status tl_model_find_input(const tl_model* model, const char* name, size_t* index, tl_error** error) {
  return guard(error, [&] { *index = model->model->input_index(name); });
}

tl_status tl_model_find_output(const tl_model* model, const char* name, size_t* index, tl_error** error) {
  return guard(error, [&] { *index = model->model->output_index(name); });
}

const char* tl_tensor_info_name(const tl_tensor_info* info) { return info_of(info).name.c_str(); }
tl_dtype tl_tensor_info_dtype(const tl_tensor_info* info) { return static_cast<tl_dtype>(info_of(info).dtype); }

int64_t tl_tensor_info_rank(const tl_tensor_info* info) {
  return info_of(info).has_rank ? static_cast<int64_t>(info_of(info).shape.size()) : -1;
}

int64_t tl_tensor_info_dim(const tl_tensor_info* info, size_t axis) {
  const auto& shape = info_of(info).shape;
  return axis < shape.size() && shape[axis].kind == tl::Dimension::Kind::fixed ? shape[axis].size : -1;
}

const char* tl_tensor_info_dim_name(const tl_tensor_info* info, size_t axis) {
  const auto& shape = info_of(info).shape;
  return axis < shape.size() ? shape[axis].name.c_str() : "";
}

tl_status tl_tensor_create(tl_dtype dtype, const int64_t* shape, size_t rank, tl_tensor** tensor, tl_error** error) {
  return guard(error, [&] {
    *tensor = nullptr;
    *tensor = new_tensor(tl::make_tensor(dtype_of(dtype), shape_of(shape, rank)));
  });
}

tl_status tl_tensor_wrap(tl_dtype dtype, const int64_t* shape, size_t rank, void* data, size_t size_bytes,
                         tl_tensor** tensor, tl_error** error) {
  return guard(error, [&] {
    *tensor = nullptr;
    *tensor = new_tensor(tl::wrap_tensor(dtype_of(dtype), shape_of(shape, rank), data, size_bytes));
  });
}

tl_status tl_tensor_create_strings(const int64_t* shape, size_t rank, const char* const* strings, size_t count,
                                   tl_tensor** tensor, tl_error** error) {
  return guard(error, [&] {
    *tensor = nullptr;
    *tensor = new_tensor(tl::make_strings(shape_of(shape, rank), std::vector<std::string>(strings, strings + count)));
  });
}

void tl_tensor_free(tl_tensor* tensor) { delete tensor; }
tl_dtype tl_tensor_dtype(const tl_tensor* tensor) { return static_cast<tl_dtype>(tensor->tensor->dtype); }
size_t tl_tensor_rank(const tl_tensor* tensor) { return tensor->tensor->shape.size(); }
const int64_t* tl_tensor_shape(const tl_tensor* tensor) { return tensor->tensor->shape.data(); }
size_t tl_tensor_count(const tl_tensor* tensor) { return static_cast<size_t>(tensor->tensor->count); }
size_t tl_tensor_size_bytes(const tl_tensor* tensor) { return tensor->tensor->size_bytes; }
void* tl_tensor_data(const tl_tensor* tensor) { return tensor->tensor->data; }

const char* tl_tensor_string(const tl_tensor* tensor, size_t index, size_t* size_bytes) {
  const auto& strings = tensor->tensor->strings;
  if (index >= strings.size()) return nullptr;
  if (size_bytes != nullptr) *size_bytes = strings[index].size();
  return strings[index].c_str();
}

tl_status tl_model_run(const tl_model* model, const char* const* input_names, const tl_tensor* const* inputs,
                       size_t input_count, const char* const* output_names, size_t output_count, tl_tensor** outputs,
                       tl_error** error) {
  return guard(error, [&] {
    const auto positions = positions_of(*model->model, output_names, output_count, model->model->outputs().size());
    std::vector<std::shared_ptr<tl::Tensor>> results;
    for (tl::Tensor& tensor : model->model->run(feed_of(input_names, inputs, input_count), positions)) {
      results.push_back(std::make_shared<tl::Tensor>(std::move(tensor)));
    }
    hand_out(std::move(results), outputs);
  });
}

tl_status tl_binding_create(const tl_model* model, tl_binding** binding, tl_error** error) {
  return guard(error, [&] {
    *binding = nullptr;
    *binding = new tl_binding{tl::Binding(model->model)};
  });
}

tl_status tl_binding_set_input(tl_binding* binding, const char* name, const tl_tensor* tensor, tl_error** error) {
  return guard(error, [&] { binding->binding.set_input(binding->binding.model().input_index(name), tensor->tensor); });
}

tl_status tl_binding_set_output(tl_binding* binding, const char* name, const tl_tensor* tensor, tl_error** error) {
  return guard(error,
               [&] { binding->binding.set_output(binding->binding.model().output_index(name), tensor->tensor); });
}

tl_status tl_binding_run(tl_binding* binding, tl_error** error) {
  return guard(error, [&] { binding->binding.run(); });
}

tl_status tl_binding_output(const tl_binding* binding, const char* name, tl_tensor** tensor, tl_error** error) {
  return guard(error, [&] {
    *tensor = nullptr;
    *tensor = new tl_tensor{binding->binding.output(binding->binding.model().output_index(name))};
  });
}

void tl_binding_free(tl_binding* binding) { delete binding; }

tl_status tl_stream_create(const tl_model* model, tl_stream** stream, tl_error** error) {
  return guard(error, [&] {
    *stream = nullptr;
    *stream = new tl_stream{tl::Stream(model->model)};
  });
}

tl_status tl_stream_run(tl_stream* stream, const char* const* input_names, const tl_tensor* const* inputs,
                        size_t input_count, const char* const* output_names, size_t output_count, tl_tensor** outputs,
                        tl_error** error) {
  return guard(error, [&] {
    const tl::Model& model = stream->stream.model();
    const auto positions = positions_of(model, output_names, output_count, model.interface().result_count);
    hand_out(stream->stream.run(feed_of(input_names, inputs, input_count), positions), outputs);
  });
}

void tl_stream_reset(tl_stream* stream) { stream->stream.reset(); }
void tl_stream_free(tl_stream* stream) { delete stream; }

}  // extern "C"
