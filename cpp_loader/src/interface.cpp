// Reading interface.json. Trees nest at most as deep as JSON may, so reading them may call itself.
#include "interface.h"

#include <map>
#include <set>

#include "error.h"
#include "json.h"
#include "onnx_contents.h"
#include "schema.h"

namespace tl {
namespace {

using json::Value;
using Kind = json::Value::Kind;

constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

// Whether an interface may declare the domain. ONNX Runtime has its own operators without any library, those that load
// code from files among them.
bool is_library_domain(const std::string& domain) {
  const std::string whole = domain + ".";
  const bool is_runtime = whole.compare(0, 14, "com.microsoft.") == 0 || whole.compare(0, 7, "com.ms.") == 0;
  const bool is_name = !domain.empty() && domain.size() <= 255 && domain[0] != '.' && domain[0] != '-' &&
                       domain.find_first_not_of(std::string(kLetters) + ".-") == std::string::npos;
  return is_name && !is_runtime && !onnx::is_standard_domain(domain);
}

class Reader {
 public:
  explicit Reader(const std::string& member) : schema_(member, "interface-schema") {}

  Interface read(const Value& raw) const {
    Interface interface;
    schema_.text(raw, "component");
    const Value& inputs = schema_.field(raw, "inputs", Kind::object);
    for (std::size_t index = 0; index < inputs.keys.size(); ++index) {
      interface.inputs.emplace_back(inputs.keys[index], read_node(inputs.items[index]));
    }
    interface.outputs = read_node(schema_.field(raw, "outputs", Kind::object));
    const Value& tolerances = schema_.field(raw, "tolerances", Kind::object);
    for (std::size_t index = 0; index < tolerances.keys.size(); ++index) {
      interface.tolerances.emplace_back(tolerances.keys[index], read_tolerance(tolerances.items[index]));
    }
    read_evidence(raw, interface);
    if (const Value* user = schema_.optional(raw, "user_tolerance", Kind::boolean)) {
      interface.user_tolerance = user->boolean;
    }
    if (const Value* state = schema_.optional(raw, "state", Kind::list)) {
      for (const Value& item : state->items) interface.state.push_back(read_state(item));
    }
    if (const Value* domains = schema_.optional(raw, "operator_domains", Kind::list)) {
      interface.operator_domains = schema_.texts(*domains);
    }
    collect_tensors(interface);
    check_domains(interface.operator_domains);
    return interface;
  }

 private:
  Tolerance read_tolerance(const Value& value) const {
    schema_.check(value, Kind::object, "tolerances");
    return {schema_.real(value, "rtol"), schema_.real(value, "atol"), schema_.real_or(value, "noise", 0)};
  }

  void read_evidence(const Value& raw, Interface& interface) const {
    const Value& source = schema_.field(raw, "source", Kind::object);
    interface.source_kind = schema_.text(source, "kind");
    interface.framework = schema_.text(source, "framework");
    interface.framework_version = schema_.text(source, "framework_version");
    schema_.text_or(source, "sha256", "");
    schema_.text_or(source, "way", "");
    const Value& proof = schema_.field(raw, "proof", Kind::object);
    interface.proof_level = schema_.text(proof, "level");
    if (const Value* cases = schema_.optional(proof, "cases", Kind::list)) {
      for (const Value& item : cases->items) interface.cases.push_back(read_case(item));
    }
    if (const Value* notes = schema_.optional(proof, "notes", Kind::list)) interface.notes = schema_.texts(*notes);
  }

  Case read_case(const Value& value) const {
    schema_.check(value, Kind::object, "cases");
    schema_.real_or(value, "max_rel_error", 0);
    schema_.text_or(value, "note", "");
    return {schema_.text(value, "name"), schema_.text(value, "result"), schema_.real_or(value, "max_abs_error", 0)};
  }

  State read_state(const Value& value) const {
    schema_.check(value, Kind::object, "state");
    State state{schema_.text(value, "name"), {}, {}};
    for (const auto& [key, tensor] : {std::pair("input", &state.input), std::pair("output", &state.output)}) {
      const Value& raw = schema_.field(value, key, Kind::object);
      const Value* type = schema_.optional(raw, "type", Kind::text);
      if (type != nullptr && type->text != "tensor") schema_.refuse("State is not a tensor.");
      *tensor = read_tensor(raw);
    }
    return state;
  }

  TensorInfo read_tensor(const Value& value) const {
    TensorInfo tensor;
    tensor.name = schema_.text(value, "name");
    const std::string& dtype = schema_.text(value, "dtype");
    const auto found = dtype_from_name(dtype);
    if (!found) schema_.refuse("Unknown dtype " + quoted(dtype) + ".");
    tensor.dtype = *found;
    const Value* shape = value.find("shape");
    if (shape == nullptr) schema_.refuse("The field 'shape' is missing.");
    if (shape->is(Kind::null)) return tensor;
    schema_.check(*shape, Kind::list, "shape");
    tensor.has_rank = true;
    for (const Value& item : shape->items) tensor.shape.push_back(read_dimension(item));
    return tensor;
  }

  Dimension read_dimension(const Value& value) const {
    if (value.is(Kind::null)) return {};
    if (value.is(Kind::text)) return {Dimension::Kind::named, 0, value.text};
    schema_.check(value, Kind::integer, "shape");
    if (value.integer < 0) schema_.refuse("A tensor has a negative size.");
    return {Dimension::Kind::fixed, value.integer, ""};
  }

  Node read_node(const Value& value) const {
    schema_.check(value, Kind::object, "tree");
    const std::string& type = schema_.text(value, "type");
    Node node;
    if (type == "tensor") {
      node.kind = Node::Kind::tensor;
      node.tensor = read_tensor(value);
    } else if (type == "list" || type == "tuple") {
      read_items(value, type == "tuple", node);
    } else if (type == "dict") {
      node.kind = Node::Kind::dict;
      const Value& items = schema_.field(value, "items", Kind::object);
      node.keys = items.keys;
      for (const Value& item : items.items) node.items.push_back(read_node(item));
    } else if (type == "constant") {
      node.kind = Node::Kind::constant;
      node.constant = read_constant(value);
    } else if (type != "none") {
      schema_.refuse("Unknown type " + quoted(type) + " of a tree.");
    }
    return node;
  }

  void read_items(const Value& value, bool is_tuple, Node& node) const {
    node.kind = is_tuple ? Node::Kind::tuple : Node::Kind::list;
    for (const Value& item : schema_.field(value, "items", Kind::list).items) node.items.push_back(read_node(item));
    if (!is_tuple) return;
    const Value* fields = value.find("fields");
    if (fields != nullptr && !fields->is(Kind::null)) node.keys = schema_.texts(*fields);
    const Value* name = value.find("name");
    if (name != nullptr && !name->is(Kind::null)) schema_.check(*name, Kind::text, "name");
  }

  std::string read_constant(const Value& value) const {
    const Value* constant = value.find("value");
    if (constant == nullptr) schema_.refuse("The field 'value' is missing.");
    switch (constant->kind) {
      case Kind::boolean:
        return constant->boolean ? "True" : "False";
      case Kind::integer:
        return std::to_string(constant->integer);
      case Kind::real:
        return std::to_string(constant->real);
      case Kind::text:
        return "'" + constant->text + "'";
      default:
        schema_.refuse("A constant is neither a scalar nor a string.");
    }
  }

  void check_domains(const std::vector<std::string>& domains) const {
    std::set<std::string> seen;
    for (const std::string& domain : domains) {
      if (!is_library_domain(domain) || !seen.insert(domain).second) {
        schema_.refuse("The operator domain " + quoted(domain) + " stands twice, or is not for a library to define.");
      }
    }
  }

  static void collect(const Node& node, std::vector<TensorInfo>& into) {
    if (node.kind == Node::Kind::tensor) into.push_back(node.tensor);
    for (const Node& item : node.items) collect(item, into);
  }

  void collect_tensors(Interface& interface) const {
    for (const auto& [name, node] : interface.inputs) collect(node, interface.input_tensors);
    collect(interface.outputs, interface.output_tensors);
    remove_repeated(interface.output_tensors);
    interface.result_count = interface.output_tensors.size();
    for (const State& state : interface.state) {
      interface.input_tensors.push_back(state.input);
      interface.output_tensors.push_back(state.output);
    }
    if (remove_repeated(interface.input_tensors)) schema_.refuse("An input tensor is named twice.");
    remove_repeated(interface.output_tensors);
  }

  // Leaves each name once: at its first place, with its last description, as Python's reader has it.
  static bool remove_repeated(std::vector<TensorInfo>& tensors) {
    std::vector<TensorInfo> unique;
    std::map<std::string, std::size_t> places;
    for (TensorInfo& tensor : tensors) {
      const auto [place, is_new] = places.emplace(tensor.name, unique.size());
      if (is_new) {
        unique.push_back(std::move(tensor));
      } else {
        unique[place->second] = std::move(tensor);
      }
    }
    const bool repeated = unique.size() != tensors.size();
    tensors = std::move(unique);
    return repeated;
  }

  Schema schema_;
};

}  // namespace

Interface parse_interface(std::string_view data, const std::string& member) {
  const Value raw = json::parse(data, member);
  const Value* version = raw.find("interface_version");
  if (version == nullptr || !version->is(Kind::text) || version->text.substr(0, version->text.find('.')) != "1") {
    throw package_error("The interface has a version that this reader does not understand; it understands 1.0.", member,
                        "interface-version", "Open the package with a newer transload.");
  }
  return Reader(member).read(raw);
}

const TensorInfo* find_path(const Node& node, std::string_view path) {
  if (path.empty()) return node.kind == Node::Kind::tensor ? &node.tensor : nullptr;
  const auto descend = [&](const std::string& key, const Node& item) -> const TensorInfo* {
    if (path.substr(0, key.size()) != key) return nullptr;
    if (path.size() == key.size()) return find_path(item, "");
    return path[key.size()] == '/' ? find_path(item, path.substr(key.size() + 1)) : nullptr;
  };
  for (std::size_t index = 0; index < node.items.size(); ++index) {
    if (index < node.keys.size()) {
      if (const TensorInfo* found = descend(node.keys[index], node.items[index])) return found;
    }
    if (node.kind != Node::Kind::dict) {
      if (const TensorInfo* found = descend(std::to_string(index), node.items[index])) return found;
    }
  }
  return nullptr;
}

std::string describe(const TensorInfo& tensor) {
  if (!tensor.has_rank) return std::string(dtype_name(tensor.dtype)) + "[…]";
  std::string text;
  for (const Dimension& dimension : tensor.shape) {
    text += text.empty() ? "" : ",";
    text += dimension.kind == Dimension::Kind::fixed     ? std::to_string(dimension.size)
            : dimension.kind == Dimension::Kind::unknown ? "?"
                                                         : dimension.name;
  }
  return std::string(dtype_name(tensor.dtype)) + "[" + text + "]";
}

std::string describe(const Node& node) {
  if (node.kind == Node::Kind::tensor) return describe(node.tensor);
  if (node.kind == Node::Kind::none) return "None";
  if (node.kind == Node::Kind::constant) return node.constant;
  std::string text;
  for (std::size_t index = 0; index < node.items.size(); ++index) {
    text += index == 0 ? "" : ", ";
    const bool named = index < node.keys.size() && !node.keys[index].empty();
    if (named) text += node.keys[index] + (node.kind == Node::Kind::dict ? ": " : "=");
    text += describe(node.items[index]);
  }
  if (node.kind == Node::Kind::dict) return "{" + text + "}";
  if (node.kind == Node::Kind::list) return "[" + text + "]";
  return "(" + text + (node.items.size() == 1 ? ",)" : ")");
}

}  // namespace tl
