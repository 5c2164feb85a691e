// Opening a package, and reading the parts of its components.
#include "package.h"

#include <algorithm>
#include <map>

#include "error.h"
#include "json.h"
#include "sha256.h"

namespace tl {
namespace {

std::string join(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return "[" + text + "]";
}

std::set<std::string> names_of(const std::vector<TensorInfo>& tensors) {
  std::set<std::string> names;
  for (const TensorInfo& tensor : tensors) names.insert(tensor.name);
  return names;
}

// An input with an initializer is a constant of the graph, unless the interface says that it is state; and state has
// an initializer.
void check_fit(const Interface& interface, const OnnxModel& model, const std::string& component) {
  std::set<std::string> state, inputs;
  for (const State& each : interface.state) state.insert(each.input.name);
  for (const std::string& name : model.inputs) {
    if ((model.initializers.count(name) != 0) == (state.count(name) != 0)) inputs.insert(name);
  }
  const std::set<std::string> outputs(model.outputs.begin(), model.outputs.end());
  const auto compare = [&](const char* kind, const std::set<std::string>& ours, const std::set<std::string>& theirs) {
    if (ours != theirs) {
      throw package_error(
          std::string("The interface's ") + kind + " " + join(ours) + " are not the graph's " + join(theirs) + ".",
          component, "interface-fits");
    }
  };
  compare("inputs", names_of(interface.input_tensors), inputs);
  compare("outputs", names_of(interface.output_tensors), outputs);
}

}  // namespace

Package::Package(const std::string& path, Integrity integrity) : archive_(path), integrity_(integrity) {
  if (archive_.find(kManifestName) == nullptr) {
    throw package_error("The ZIP file has no manifest.json: it is not a package.", kManifestName, "manifest-schema");
  }
  manifest_ = parse_manifest(read(kManifestName));
  check_members();
  for (const ComponentEntry& component : manifest_.components) check_files(component);
  check_assets();
  if (integrity == Integrity::sha256) {
    for (const MemberEntry& entry : manifest_.members) {
      if (sha256_of(entry.name) != entry.sha256) {
        throw package_error("The content does not match its SHA-256 in the manifest.", entry.name, "sha256");
      }
    }
  }
}

std::string_view Package::read(const std::string& name) const {
  if (integrity_ != Integrity::none) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (checked_.count(name) == 0) {
      archive_.check_crc32(name);
      checked_.insert(name);
    }
  }
  return archive_.view(name);
}

std::string Package::sha256_of(const std::string& name) const { return sha256(archive_.view(name)); }

std::string Package::component_names() const {
  std::string names;
  for (const ComponentEntry& entry : manifest_.components) names += (names.empty() ? "" : ", ") + entry.name;
  return names;
}

const Variant& Package::variant(const std::string& component) const {
  for (const ComponentEntry& entry : manifest_.components) {
    if (entry.name == component) return *entry.portable();
  }
  throw usage_error("The package has no component " + quoted(component) + ".", "It has: " + component_names() + ".");
}

const std::string& Package::choose_component(const std::string& name) const {
  if (!name.empty()) {
    variant(name);
    return name;
  }
  if (manifest_.components.size() == 1) return manifest_.components.front().name;
  throw usage_error("The package has " + std::to_string(manifest_.components.size()) + " components.",
                    "Name one: " + component_names() + ".");
}

Interface Package::interface(const std::string& component) const {
  const std::string name = variant(component).folder + "/interface.json";
  return parse_interface(read(name), name);
}

std::string_view Package::model_bytes(const std::string& component) const {
  return read(variant(component).folder + "/model.onnx");
}

OnnxModel Package::model(const std::string& component, const std::string& location) const {
  const Variant& chosen = variant(component);
  const std::string member = chosen.folder + "/model.onnx";
  const std::string weights = weights_name(chosen);
  const Interface interface = this->interface(component);
  const std::string_view stored = read(member);
  const zip::Member* data = archive_.find(weights);
  const std::vector<std::string>& domains = interface.operator_domains;
  const ModelPlace place{
      weights.substr(weights.rfind('/') + 1), data, location, ModelOrigin::portable, {domains.begin(), domains.end()}};
  if (data != nullptr) read(weights);
  OnnxModel model = point_into(stored, member, place);
  check_fit(interface, model, component);
  return model;
}

std::vector<VectorSet> Package::vectors(const std::string& component) const {
  const Interface interface = this->interface(component);
  const std::string prefix = variant(component).folder + "/test_data_set_";
  std::set<std::string> unread;
  for (const zip::Member& member : archive_.members()) {
    if (member.name.compare(0, prefix.size(), prefix) == 0) unread.insert(member.name);
  }
  std::vector<VectorSet> sets;
  while (true) {
    const std::string folder = prefix + std::to_string(sets.size());
    const auto first = unread.lower_bound(folder + "/");
    if (first == unread.end() || first->compare(0, folder.size() + 1, folder + "/") != 0) break;
    VectorSet set;
    set.inputs = read_vectors(folder, "input", interface.input_tensors, unread);
    set.outputs = read_vectors(folder, "output", interface.output_tensors, unread);
    sets.push_back(std::move(set));
  }
  if (!unread.empty()) throw package_error("The file belongs to no vector set.", *unread.begin(), "vectors");
  return sets;
}

std::vector<TensorValues> Package::read_vectors(const std::string& folder, const char* kind,
                                                const std::vector<TensorInfo>& tensors,
                                                std::set<std::string>& unread) const {
  std::vector<TensorValues> found;
  for (std::size_t index = 0; index < tensors.size(); ++index) {
    const std::string name = folder + "/" + kind + "_" + std::to_string(index) + ".pb";
    found.push_back(parse_tensor(read(name), name));
    unread.erase(name);
  }
  for (std::size_t index = 0; index < tensors.size(); ++index) {
    if (found[index].name != tensors[index].name || found[index].dtype != tensors[index].dtype) {
      throw package_error("The vectors hold " + quoted(found[index].name) + " (" + dtype_name(found[index].dtype) +
                              ") where the interface has " + quoted(tensors[index].name) + " (" +
                              dtype_name(tensors[index].dtype) + ").",
                          folder, "vectors");
    }
  }
  return found;
}

void Package::check_components() const {
  for (const ComponentEntry& component : manifest_.components) {
    model(component.name, archive_.file().file_name());
    vectors(component.name);
  }
}

void Package::check_members() const {
  std::set<std::string> listed;
  for (const MemberEntry& entry : manifest_.members) listed.insert(entry.name);
  for (const zip::Member& member : archive_.members()) {
    if (member.name != kManifestName && member.name != kSignatureName && listed.count(member.name) == 0) {
      throw package_error("Manifest and archive disagree: only the archive holds this member.", member.name, "members");
    }
  }
  const zip::Member* signature = archive_.find(kSignatureName);
  if (signature != nullptr && signature->size_bytes > json::kMaxBytes) {
    throw package_error("The signature has too many bytes.", kSignatureName, "json-size");
  }
  for (const MemberEntry& entry : manifest_.members) {
    const zip::Member* member = archive_.find(entry.name);
    if (member == nullptr || entry.name == kManifestName || entry.name == kSignatureName) {
      throw package_error("Manifest and archive disagree: only the manifest lists this member.", entry.name, "members");
    }
    if (member->size_bytes != entry.size_bytes) {
      throw package_error("Its size is not the one in the manifest.", entry.name, "members");
    }
  }
}

void Package::check_files(const ComponentEntry& component) const {
  if (component.portable() == nullptr) {
    throw package_error("The component " + quoted(component.name) + " has no 'portable' variant.", kManifestName,
                        "manifest-schema");
  }
  const auto need = [&](const std::string& name) {
    if (archive_.find(name) == nullptr) throw package_error("The manifest needs this member.", name, "members");
  };
  for (const Variant& variant : component.variants) {
    need(variant.folder + "/model.onnx");
    need(variant.folder + "/interface.json");
    if (!variant.shared_asset.empty()) need(weights_name(variant));
  }
}

void Package::check_assets() const {
  constexpr std::string_view kPrefix = "shared_assets/";
  // The text whose hash names each folder: its files come sorted, as all members do.
  std::map<std::string, std::string> texts;
  std::map<std::string, std::string> digests;
  for (const MemberEntry& entry : manifest_.members) digests[entry.name] = entry.sha256;
  for (const auto& [name, digest] : digests) {
    if (name.compare(0, kPrefix.size(), kPrefix) != 0) continue;
    const std::string rest = name.substr(kPrefix.size());
    const std::size_t slash = rest.find('/');
    if (rest.compare(0, 7, "sha256-") != 0 || slash != 71 || !is_sha256(rest.substr(7, 64))) {
      throw package_error("Not a shared asset's name.", name, "shared-assets");
    }
    texts[rest.substr(0, slash)] += digest + "  " + rest.substr(slash + 1) + "\n";
  }
  if (!manifest_.assets.empty() && texts.count(asset_folder(manifest_.assets).substr(kPrefix.size())) == 0) {
    throw package_error("The manifest needs this folder.", asset_folder(manifest_.assets), "members");
  }
  for (const auto& [folder, text] : texts) {
    if ("sha256-" + sha256(text) != folder) {
      throw package_error("The folder's name is not the hash of its files.", std::string(kPrefix) + folder,
                          "shared-assets");
    }
  }
}

}  // namespace tl
