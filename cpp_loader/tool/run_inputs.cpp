// Reading a model's inputs, and what a call needs beside them.
#include "run_inputs.h"

#include <filesystem>

#include "npy.h"

namespace tl {

std::vector<Tensor> read_inputs(const Model& model, const std::string& folder) {
  std::vector<Tensor> inputs(model.inputs().size());
  for (std::size_t index = 0; index < inputs.size(); ++index) {
    const std::filesystem::path path = std::filesystem::path(folder) / npy_name(model.inputs()[index].name);
    // State begins at its initial value where no file gives another.
    if (model.is_state_input(index) && !std::filesystem::exists(path)) continue;
    inputs[index] = read_npy(path.string(), model.inputs()[index]);
  }
  return inputs;
}

std::vector<Tensor> recorded_inputs(const VectorSet& set) {
  std::vector<Tensor> inputs;
  for (const TensorValues& values : set.inputs) inputs.push_back(from_values(values));
  return inputs;
}

std::vector<Feed> feed_of(const Model& model, const std::vector<Tensor>& inputs) {
  std::vector<Feed> feed;
  for (std::size_t index = 0; index < inputs.size(); ++index) {
    if (inputs[index].value) feed.push_back({model.inputs()[index].name, &inputs[index]});
  }
  return feed;
}

std::vector<std::size_t> all_outputs(const Model& model) {
  std::vector<std::size_t> positions;
  for (std::size_t index = 0; index < model.outputs().size(); ++index) positions.push_back(index);
  return positions;
}

}  // namespace tl
