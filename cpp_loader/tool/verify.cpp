// `transload-run verify`: does the package still give, here and today, what the source gave?
#include <algorithm>
#include <cstdio>
#include <memory>

#include "arguments.h"
#include "commands.h"
#include "comparison.h"
#include "error.h"
#include "model.h"
#include "run_inputs.h"
#include "signature.h"
#include "table.h"

namespace tl {
namespace {

struct Report {
  std::vector<Row> rows;               // of the table
  std::vector<std::string> differing;  // lines about outputs that did not pass
};

Tolerance tolerance_of(const Interface& interface, const TensorInfo& tensor) {
  for (const auto& [name, tolerance] : interface.tolerances) {
    if (name == tensor.name) return tolerance;
  }
  return default_tolerance(tensor.dtype);
}

void replay(const Model& model, const std::string& component, std::size_t number, const VectorSet& set,
            Report& report) {
  const std::vector<Tensor> inputs = recorded_inputs(set);
  const std::vector<Tensor> ours = model.run(feed_of(model, inputs), all_outputs(model));
  for (std::size_t index = 0; index < ours.size(); ++index) {
    const TensorInfo& tensor = model.outputs()[index];
    const Comparison result = compare_output(tensor.name, ours[index], from_values(set.outputs[index]),
                                             tolerance_of(model.interface(), tensor));
    report.rows.push_back({component, std::to_string(number), result.name, result.passed ? "equal" : "DIFFERS",
                           short_number(result.max_abs_error), short_number(result.max_rel_error),
                           std::to_string(result.missed) + " of " + std::to_string(result.size)});
    if (!result.passed) {
      report.differing.push_back(component + ", set " + std::to_string(number) + ": " + format_row(result));
    }
  }
}

}  // namespace

int verify_command(const std::vector<std::string>& words) {
  const Arguments arguments =
      parse_arguments(words, {"--device", "--threads", "--library", "--public-key", "--signature"});
  const Package package(arguments.package, Integrity::sha256);
  const std::string key = arguments.get("--public-key", "");
  if (!key.empty()) {
    check_signature(package, key, arguments.get("--signature", ""));
    std::fprintf(stderr, "transload-run: signed by %s\n", key.c_str());
  }
  ort::SessionSettings settings = arguments.settings("cpu");
  // What the vectors prove is the portable variant.
  settings.tuned = false;
  Report report;
  std::vector<std::string> unrecorded;
  for (const ComponentEntry& component : package.manifest().components) {
    const Model model(package, component.name, settings);
    const std::vector<VectorSet> sets = package.vectors(component.name);
    for (std::size_t number = 0; number < sets.size(); ++number) {
      replay(model, component.name, number, sets[number], report);
    }
    if (sets.empty()) unrecorded.push_back(component.name);
  }
  // What was checked and what was run must be one file.
  package.archive().file().check_unchanged();
  std::fputs(
      draw_table({"component", "set", "output", "result", "max abs error", "max rel error", "missed"}, report.rows)
          .c_str(),
      stdout);
  for (const std::string& name : unrecorded) {
    std::fprintf(stderr, "transload-run: component %s has no recorded inputs; nothing was checked.\n",
                 quoted(name).c_str());
  }
  if (report.differing.empty()) return 0;
  std::fprintf(stderr, "transload-run: %s does not give the recorded outputs.\n",
               package.archive().file().file_name().c_str());
  for (const std::string& line : report.differing) std::fprintf(stderr, "  %s\n", line.c_str());
  return static_cast<int>(Status::mismatch);
}

}  // namespace tl
