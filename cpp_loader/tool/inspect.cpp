// `transload-run inspect`: what is in a package.
#include <algorithm>
#include <cstdio>

#include "arguments.h"
#include "commands.h"
#include "model.h"
#include "table.h"

namespace tl {
namespace {

std::string structure_text(const Interface& interface) {
  std::string text;
  for (const auto& [name, node] : interface.inputs) {
    text += (text.empty() ? "" : ", ") + name;
    if (node.kind != Node::Kind::tensor) text += "=" + describe(node);
  }
  return "(" + text + ") -> " + describe(interface.outputs);
}

std::string proof_text(const Interface& interface) {
  if (interface.proof_level == "none") return "none: nobody has checked that source and package agree";
  double largest = 0;
  for (const Case& each : interface.cases) largest = std::max(largest, each.max_abs_error);
  return interface.proof_level + ": " + std::to_string(interface.cases.size()) + " input sets tried, largest error " +
         short_number(largest);
}

void print_component(const Package& package, const std::string& name) {
  const Interface interface = package.interface(name);
  std::printf("\ncomponent %s\n", name.c_str());
  std::vector<Row> rows;
  for (const TensorInfo& tensor : interface.input_tensors) rows.push_back({"input", tensor.name, describe(tensor)});
  for (const TensorInfo& tensor : interface.output_tensors) rows.push_back({"output", tensor.name, describe(tensor)});
  std::fputs(draw_table({"", "name", "type"}, rows).c_str(), stdout);
  std::printf("call: %s\n", structure_text(interface).c_str());
  std::printf("source: %s (%s %s)\n", interface.source_kind.c_str(), interface.framework.c_str(),
              interface.framework_version.c_str());
  std::string opsets;
  for (const auto& [domain, version] : package.model(name, package.archive().file().file_name()).opsets) {
    opsets += (opsets.empty() ? "" : ", ") + domain + " " + std::to_string(version);
  }
  std::printf("opset: %s\n", opsets.c_str());
  std::string domains;
  for (const std::string& domain : interface.operator_domains) domains += (domains.empty() ? "" : ", ") + domain;
  if (!domains.empty()) std::printf("needs a library of operators: %s\n", domains.c_str());
  std::printf("%sproof: %s\n", interface.proof_level == "none" ? "WARNING: " : "", proof_text(interface).c_str());
  for (const auto& [output, tolerance] : interface.tolerances) {
    const std::string noise = tolerance.noise == 0 ? "" : ", the source's own noise " + short_number(tolerance.noise);
    std::printf("tolerance of %s: atol %g, rtol %g%s%s\n", output.c_str(), tolerance.atol, tolerance.rtol,
                noise.c_str(), interface.user_tolerance ? " (widened by the user)" : "");
  }
  for (const std::string& note : interface.notes) std::printf("note: %s\n", note.c_str());
}

}  // namespace

int inspect_command(const std::vector<std::string>& words) {
  const Arguments arguments = parse_arguments(words, {});
  const Package package(arguments.package, Integrity::crc32);
  const Manifest& manifest = package.manifest();
  std::printf("%s: %s, sha256 %s\n", manifest.package_name.c_str(),
              size_text(package.archive().file().bytes().size()).c_str(), package.digest().c_str());
  std::printf("format %s, written by %s\n", manifest.format_version.c_str(), manifest.producer.c_str());
  for (const ComponentEntry& component : manifest.components) print_component(package, component.name);
  std::vector<Row> rows;
  for (const zip::Member& member : package.archive().members()) {
    rows.push_back({member.name, size_text(member.size_bytes), std::to_string(member.offset)});
  }
  std::printf("\nmembers\n%s", draw_table({"member", "size", "offset"}, rows).c_str());
  return 0;
}

}  // namespace tl
