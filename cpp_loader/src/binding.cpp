// Running with bound tensors.
#include "binding.h"

#include <algorithm>
#include <set>

#include "dimension_sums.h"
#include "error.h"

namespace tl {

Binding::Binding(std::shared_ptr<const Model> model)
    : model_(std::move(model)),
      inputs_(model_->inputs().size()),
      outputs_(model_->outputs().size()),
      is_own_output_(outputs_.size(), true),
      output_values_(outputs_.size(), nullptr),
      api_(ort::api()) {
  for (const TensorInfo& tensor : model_->outputs()) {
    output_names_.push_back(tensor.name.c_str());
    keeps_shape_.push_back(keeps_shape(tensor));
  }
}

// Whether the shape of an output follows from those of the inputs, which do not change while they are bound.
bool Binding::keeps_shape(const TensorInfo& tensor) const {
  std::set<std::string> names;
  for (const TensorInfo& input : model_->inputs()) {
    for (const Dimension& other : input.shape) names.insert(other.name);
  }
  names.erase("");
  const auto is_settled = [&](const Dimension& dimension) {
    if (dimension.kind != Dimension::Kind::named) return dimension.kind == Dimension::Kind::fixed;
    const auto size_of = [&](const std::string& name) {
      return names.count(name) != 0 ? std::optional<std::int64_t>(0) : std::nullopt;
    };
    return names.count(dimension.name) != 0 || sum_of(dimension.name, size_of);
  };
  return tensor.has_rank && std::all_of(tensor.shape.begin(), tensor.shape.end(), is_settled);
}

void Binding::set_input(std::size_t index, std::shared_ptr<Tensor> tensor) {
  inputs_[index] = std::move(tensor);
  is_prepared_ = false;
}

void Binding::set_output(std::size_t index, std::shared_ptr<Tensor> tensor) {
  if (tensor->dtype != model_->outputs()[index].dtype) {
    throw usage_error("The output " + quoted(model_->outputs()[index].name) + " has dtype " +
                      dtype_name(model_->outputs()[index].dtype) + ", not " + dtype_name(tensor->dtype) + ".");
  }
  outputs_[index] = std::move(tensor);
  is_own_output_[index] = false;
  is_prepared_ = false;
}

void Binding::prepare() {
  std::vector<Feed> feed;
  for (std::size_t index = 0; index < inputs_.size(); ++index) {
    if (inputs_[index]) feed.push_back({model_->inputs()[index].name, inputs_[index].get()});
  }
  const std::vector<const Tensor*> checked = model_->check_feed(feed);
  input_names_.clear();
  input_values_.clear();
  for (std::size_t index = 0; index < checked.size(); ++index) {
    if (checked[index] == nullptr) continue;
    input_names_.push_back(model_->inputs()[index].name.c_str());
    input_values_.push_back(checked[index]->value.get());
  }
  for (std::size_t index = 0; index < outputs_.size(); ++index) {
    if (is_own_output_[index]) outputs_[index].reset();
    output_values_[index] = outputs_[index] ? outputs_[index]->value.get() : nullptr;
  }
  is_prepared_ = true;
}

void Binding::run() {
  if (!is_prepared_) prepare();
  has_run_ = false;
  for (std::size_t index = 0; index < outputs_.size(); ++index) {
    if (is_own_output_[index] && !keeps_shape_[index]) {
      outputs_[index].reset();
      output_values_[index] = nullptr;
    }
  }
  model_->run_session([&](OrtSession* session) {
    OrtStatus* status = api_.Run(session, nullptr, input_names_.data(), input_values_.data(), input_values_.size(),
                                 output_names_.data(), output_names_.size(), output_values_.data());
    if (status != nullptr) {
      // What ONNX Runtime had allocated before it failed is nobody's yet.
      for (std::size_t index = 0; index < outputs_.size(); ++index) {
        if (!outputs_[index] && output_values_[index] != nullptr)
          ort::Value(std::exchange(output_values_[index], nullptr));
      }
    }
    return status;
  });
  for (std::size_t index = 0; index < outputs_.size(); ++index) {
    if (!outputs_[index]) {
      outputs_[index] = std::make_shared<Tensor>(adopt_value(ort::Value(output_values_[index])));
    } else if (outputs_[index]->dtype == Dtype::string) {
      *outputs_[index] = adopt_value(std::move(outputs_[index]->value));
    }
  }
  has_run_ = true;
}

std::shared_ptr<Tensor> Binding::output(std::size_t index) const {
  if (!has_run_) throw usage_error("The binding has not run.", "Run it first.");
  return outputs_[index];
}

}  // namespace tl
