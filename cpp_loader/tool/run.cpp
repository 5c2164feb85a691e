// `transload-run run`: a package's outputs for inputs in a folder of .npy files.
#include <filesystem>

#include "arguments.h"
#include "commands.h"
#include "error.h"
#include "model.h"
#include "npy.h"
#include "run_inputs.h"

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

int run_command(const std::vector<std::string>& words) {
  const Arguments arguments = parse_arguments(words, {"--inputs", "--outputs", "--component", "--device", "--threads"});
  const std::string target = arguments.get("--outputs", "");
  if (target.empty()) throw usage_error("--outputs FOLDER is needed.");
  const Package package(arguments.package, Integrity::crc32);
  const Model model(package, arguments.get("--component", ""), arguments.settings("auto"));
  const std::vector<Tensor> inputs = read_inputs(model, arguments.get("--inputs", "."));
  const std::vector<Tensor> results = model.run(feed_of(model, inputs), all_outputs(model));
  std::error_code failure;
  std::filesystem::create_directories(target, failure);
  if (failure) throw usage_error("Cannot make the folder " + target + ": " + failure.message() + ".");
  for (std::size_t index = 0; index < results.size(); ++index) {
    write_npy((std::filesystem::path(target) / npy_name(model.outputs()[index].name)).string(), results[index]);
  }
  return 0;
}

}  // namespace tl
