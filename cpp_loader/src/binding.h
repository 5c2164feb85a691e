// Inputs and outputs fixed once, for calls that allocate nothing of ours.
#pragma once

#include <memory>
#include <vector>

#include "model.h"

namespace tl {

// One is for one thread at a time. Tensors are shared with whoever bound them.
class Binding {
 public:
  explicit Binding(std::shared_ptr<const Model> model);

  const Model& model() const { return *model_; }
  void set_input(std::size_t index, std::shared_ptr<Tensor> tensor);

  // Where an output is to be written; without one, the first run allocates it and later runs write there again.
  void set_output(std::size_t index, std::shared_ptr<Tensor> tensor);

  // Throws Error: usage (the inputs are not the interface's), execution.
  void run();

  // An output of the last run, which the next run overwrites. Throws Error (usage): there was no run.
  std::shared_ptr<Tensor> output(std::size_t index) const;

 private:
  void prepare();
  bool keeps_shape(const TensorInfo& tensor) const;

  std::shared_ptr<const Model> model_;
  std::vector<std::shared_ptr<Tensor>> inputs_, outputs_;  // by position; null where nothing is bound
  std::vector<bool> is_own_output_, keeps_shape_;
  bool is_prepared_ = false, has_run_ = false;

  // What ONNX Runtime is given.
  std::vector<const char*> input_names_, output_names_;
  std::vector<const OrtValue*> input_values_;
  std::vector<OrtValue*> output_values_;
  const OrtApi& api_;
};

}  // namespace tl
