// `transload-run run`: a package's outputs for inputs in a folder of .npy files.
#include <filesystem>

#include "arguments.h"
#include "commands.h"
#include "error.h"
#include "model.h"
#include "npy.h"
#include "run_inputs.h"

namespace tl {

int run_command(const std::vector<std::string>& words) {
  const Arguments arguments =
      parse_arguments(words, {"--inputs", "--outputs", "--component", "--device", "--threads", "--library"});
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
