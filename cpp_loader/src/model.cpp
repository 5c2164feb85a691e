// Loading a component, checking a call's tensors against the interface, and running.
#include "model.h"

#include <algorithm>
#include <map>
#include <set>

#include "dimension_steps.h"
#include "dimension_sums.h"
#include "empty_sequences.h"
#include "error.h"
#include "host.h"
#include "tuned.h"

namespace tl {
namespace {

std::string list(const std::vector<TensorInfo>& tensors) {
  std::string text;
  for (const TensorInfo& tensor : tensors) text += (text.empty() ? "" : ", ") + tensor.name + ": " + describe(tensor);
  return text.empty() ? "none" : text;
}

std::optional<std::size_t> find_name(const std::vector<TensorInfo>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const TensorInfo& t) { return t.name == name; });
  if (found == tensors.end()) return std::nullopt;
  return static_cast<std::size_t>(found - tensors.begin());
}

// A size that a named dimension has, and where it was first seen.
void check_not_empty(const Tensor& tensor, const std::string& name, const std::string& where) {
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) == tensor.shape.end()) return;
  throw Error(Status::execution,
              "The input " + quoted(name) + " is empty, and ONNX Runtime's kernels for recurrent layers end the process " +
                  "over that.",
              "Leave such calls out; the result has no elements, or is the initial state.", where);
}

struct Seen {
  std::int64_t size;
  std::string where;
};

void check_tensor(const Tensor& tensor, const TensorInfo& expected, std::map<std::string, Seen>& sizes) {
  const std::string subject = "The input " + quoted(expected.name);
  if (tensor.dtype != expected.dtype) {
    throw usage_error(subject + " has dtype " + dtype_name(tensor.dtype) + "; the model takes " + describe(expected) +
                      ".");
  }
  if (!expected.has_rank) return;
  if (tensor.shape.size() != expected.shape.size()) {
    throw usage_error(subject + " has rank " + std::to_string(tensor.shape.size()) + "; the model takes " +
                      describe(expected) + ".");
  }
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    const Dimension& dimension = expected.shape[axis];
    const std::int64_t size = tensor.shape[axis];
    if (dimension.kind == Dimension::Kind::fixed && size != dimension.size) {
      throw usage_error(subject + " has size " + std::to_string(size) + " on axis " + std::to_string(axis) +
                        "; the model takes " + describe(expected) + ".");
    }
    if (dimension.kind == Dimension::Kind::named) {
      const std::string where = quoted(expected.name) + " axis " + std::to_string(axis);
      const Seen& first = sizes.emplace(dimension.name, Seen{size, where}).first->second;
      if (first.size != size) {
        throw usage_error("The dimension " + quoted(dimension.name) + " is " + std::to_string(first.size) + " in " +
                          first.where + " but " + std::to_string(size) + " in " + where + ".");
      }
    }
  }
}

// Dimensions that are sums of others must be what these make.
void check_sums(const std::map<std::string, Seen>& sizes) {
  for (const auto& [name, seen] : sizes) {
    const auto expected = sum_of(name, [&](const std::string& term) -> std::optional<std::int64_t> {
      const auto found = sizes.find(term);
      return found == sizes.end() ? std::nullopt : std::optional(found->second.size);
    });
    if (expected && *expected != seen.size) {
      throw usage_error("The dimension " + quoted(name) + " is " + std::to_string(seen.size) + " in " + seen.where +
                        ", but " + std::to_string(*expected) + " by its terms.");
    }
  }
}

// Dimensions that vary in steps must be multiples of them.
void check_steps(const std::map<std::string, Seen>& sizes) {
  std::set<std::string> names;
  for (const auto& [name, seen] : sizes) names.insert(name);
  for (const auto& [name, step] : find_steps(names)) {
    const Seen& seen = sizes.at(name);
    if (seen.size % step != 0) {
      throw usage_error("The dimension " + quoted(name) + " takes multiples of " + std::to_string(step) +
                        " only; it is " + std::to_string(seen.size) + " in " + seen.where + ".");
    }
  }
}

// The files, by absolute paths: of a bare name the system's loader would look for a library anywhere.
std::vector<std::string> find_libraries(const std::vector<std::string>& given, const std::vector<std::string>& domains,
                                        const std::string& where) {
  if (given.empty()) {
    std::string text;
    for (const std::string& domain : domains) text += (text.empty() ? "" : ", ") + domain;
    throw Error(Status::unsupported, "The model has operators of a library, of the domain " + text + ".",
                "Give the library if you trust it, since its code runs: the option \"library\", or --library FILE.",
                where);
  }
  std::vector<std::string> found;
  for (const std::string& library : given) {
    found.push_back(host::find_file(library));
    if (found.back().empty()) throw usage_error("There is no library " + quoted(library) + ".");
  }
  return found;
}

ort::Session create_portable(const Package& package, const std::string& component, const ort::SessionSettings& settings,
                             const OrtEnv& env, const std::string& where) {
  const MappedFile& file = package.archive().file();
  const OnnxModel model = package.model(component, ort::external_location(file.folder(), file.file_name()));
  ort::Session session = ort::create_session(env, model.bytes, file.folder(), settings, where);
  // ONNX Runtime has opened the file by its name, and mapped whatever lay there.
  file.check_unchanged();
  return session;
}

}  // namespace

Model::Model(const Package& package, const std::string& component, const ort::SessionSettings& settings) {
  const std::string& name = package.choose_component(component);
  const MappedFile& file = package.archive().file();
  where_ = "component " + quoted(name) + " of " + file.file_name();
  interface_ = package.interface(name);
  refuses_empty_ = fails_on_empty(package.model_bytes(name));
  env_ = ort::create_env();
  // A tuned graph has ONNX Runtime's own operators and no others.
  const bool has_library = !interface_.operator_domains.empty();
  if (!has_library) session_ = open_tuned(package, name, settings, *env_, where_);
  is_tuned_ = session_ != nullptr;
  // Only a component with operators of a library needs one, and has no tuned variant.
  ort::SessionSettings portable = settings;
  portable.libraries.clear();
  if (has_library) portable.libraries = find_libraries(settings.libraries, interface_.operator_domains, where_);
  if (!is_tuned_) {
    session_ = create_portable(package, name, portable, *env_, where_);
    return;
  }
  portable_ = std::make_unique<Portable>();
  portable_->path = file.folder() + "/" + file.file_name();
  portable_->digest = package.digest();
  portable_->component = name;
  portable_->integrity = package.integrity();
  portable_->settings = portable;
}

OrtSession* Model::portable_session() const {
  const std::lock_guard<std::mutex> lock(portable_->mutex);
  if (!portable_->session) {
    const Package package(portable_->path, portable_->integrity);
    if (package.digest() != portable_->digest) {
      throw package_error("The package was replaced since it was loaded.", portable_->component, "changed");
    }
    portable_->session = create_portable(package, portable_->component, portable_->settings, *env_, where_);
  }
  return portable_->session.get();
}

std::optional<std::size_t> Model::find_input(const std::string& name) const {
  if (const auto found = find_name(inputs(), name)) return found;
  for (const auto& [parameter, node] : interface_.inputs) {
    if (name.compare(0, parameter.size(), parameter) != 0) continue;
    const std::string rest = name.substr(parameter.size());
    if (!rest.empty() && rest[0] != '/') continue;
    if (const TensorInfo* tensor = find_path(node, rest.empty() ? rest : rest.substr(1))) {
      return find_name(inputs(), tensor->name);
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> Model::find_output(const std::string& name) const {
  if (const auto found = find_name(outputs(), name)) return found;
  const TensorInfo* tensor = find_path(interface_.outputs, name);
  return tensor == nullptr ? std::nullopt : find_name(outputs(), tensor->name);
}

std::size_t Model::input_index(const std::string& name) const {
  if (const auto found = find_input(name)) return *found;
  throw usage_error("The model has no input " + quoted(name) + ".", "Inputs: " + list(inputs()) + ".");
}

std::size_t Model::output_index(const std::string& name) const {
  if (const auto found = find_output(name)) return *found;
  throw usage_error("The model has no output " + quoted(name) + ".", "Outputs: " + list(outputs()) + ".");
}

std::vector<const Tensor*> Model::check_feed(const std::vector<Feed>& feed) const {
  std::vector<const Tensor*> found(inputs().size(), nullptr);
  for (const Feed& item : feed) {
    const Tensor*& place = found[input_index(item.name)];
    if (place != nullptr) throw usage_error("The input " + quoted(item.name) + " was given twice.");
    place = item.tensor;
  }
  std::map<std::string, Seen> sizes;
  for (std::size_t index = 0; index < found.size(); ++index) {
    if (found[index] != nullptr) {
      check_tensor(*found[index], inputs()[index], sizes);
      if (refuses_empty_) check_not_empty(*found[index], inputs()[index].name, where_);
    } else if (!is_state_input(index)) {
      throw usage_error("The input " + quoted(inputs()[index].name) + " is missing.",
                        "Inputs: " + list(inputs()) + ".");
    }
  }
  check_sums(sizes);
  check_steps(sizes);
  return found;
}

std::vector<Tensor> Model::run(const std::vector<Feed>& feed, const std::vector<std::size_t>& outputs) const {
  return run_checked(check_feed(feed), outputs);
}

std::vector<Tensor> Model::run_checked(const std::vector<const Tensor*>& given,
                                       const std::vector<std::size_t>& wanted) const {
  std::vector<const char*> input_names, output_names;
  std::vector<const OrtValue*> values;
  for (std::size_t index = 0; index < given.size(); ++index) {
    if (given[index] == nullptr) continue;
    input_names.push_back(inputs()[index].name.c_str());
    values.push_back(given[index]->value.get());
  }
  for (const std::size_t index : wanted) output_names.push_back(outputs()[index].name.c_str());
  std::vector<OrtValue*> raw(wanted.size(), nullptr);
  std::vector<ort::Value> owned(raw.size());
  run_session([&](OrtSession* session) {
    OrtStatus* status = ort::api().Run(session, nullptr, input_names.data(), values.data(), values.size(),
                                       output_names.data(), output_names.size(), raw.data());
    for (std::size_t index = 0; index < raw.size(); ++index) owned[index].reset(std::exchange(raw[index], nullptr));
    return status;
  });
  std::vector<Tensor> results;
  results.reserve(owned.size());
  for (ort::Value& value : owned) results.push_back(adopt_value(std::move(value)));
  return results;
}

std::vector<std::shared_ptr<Tensor>> Stream::run(const std::vector<Feed>& feed,
                                                 const std::vector<std::size_t>& wanted) {
  const std::vector<State>& states = model_->interface().state;
  std::vector<const Tensor*> inputs = model_->check_feed(feed);
  const std::size_t first = inputs.size() - states.size();
  std::vector<std::size_t> outputs = wanted;
  for (std::size_t index = 0; index < states.size(); ++index) {
    if (inputs[first + index] == nullptr && !state_.empty()) inputs[first + index] = state_[index].get();
    outputs.push_back(model_->output_index(states[index].output.name));
  }
  // An output may be asked for twice, by the caller and as state; ONNX Runtime gives each name once.
  std::vector<std::size_t> unique = outputs;
  std::sort(unique.begin(), unique.end());
  unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
  std::vector<std::shared_ptr<Tensor>> values;
  for (Tensor& tensor : model_->run_checked(inputs, unique)) {
    values.push_back(std::make_shared<Tensor>(std::move(tensor)));
  }
  std::vector<std::shared_ptr<Tensor>> all;
  all.reserve(outputs.size());
  for (const std::size_t index : outputs) {
    all.push_back(
        values[static_cast<std::size_t>(std::lower_bound(unique.begin(), unique.end(), index) - unique.begin())]);
  }
  state_.assign(all.begin() + static_cast<std::ptrdiff_t>(wanted.size()), all.end());
  all.resize(wanted.size());
  return all;
}

}  // namespace tl
