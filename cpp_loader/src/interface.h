// The interface of a component: what it takes and returns as typed trees, its state, tolerances and evidence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtypes.h"

namespace tl {

// One axis: a size; a name, which means dynamic (equal names are equal sizes); or unknown.
struct Dimension {
  enum class Kind { fixed, named, unknown };
  Kind kind = Kind::unknown;
  std::int64_t size = 0;
  std::string name;
};

// One input or output of the ONNX graph.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::float32;
  bool has_rank = false;  // where false, nothing is known of the shape
  std::vector<Dimension> shape;
};

// A node of the source's structure. `keys` are a dict's keys or a named tuple's fields.
struct Node {
  enum class Kind { tensor, list, tuple, dict, none, constant };
  Kind kind = Kind::none;
  TensorInfo tensor;
  std::vector<Node> items;
  std::vector<std::string> keys;
  std::string constant;  // as text
};

struct Tolerance {
  double rtol = 0, atol = 0, noise = 0;
};

// What goes from one call to the next: the graph's `output` is its next `input`.
struct State {
  std::string name;
  TensorInfo input, output;
};

struct Case {
  std::string name, result;
  double max_abs_error = 0;
};

struct Interface {
  std::vector<std::pair<std::string, Node>> inputs;  // by parameter name, in order
  Node outputs;
  std::vector<std::pair<std::string, Tolerance>> tolerances;  // by output tensor
  std::string source_kind, framework, framework_version;
  std::string proof_level;
  std::vector<Case> cases;
  std::vector<std::string> notes;
  bool user_tolerance = false;
  std::vector<State> state;
  std::vector<std::string> operator_domains;  // of operators that come from a library of the caller's

  // Every input or output tensor of the graph, each name once, in order; state comes last.
  std::vector<TensorInfo> input_tensors;
  std::vector<TensorInfo> output_tensors;
  std::size_t result_count = 0;  // how many of the output tensors are not state alone
};

// Reads interface.json; `member` is its name. Throws Error (rules `json`, `interface-version`, `interface-schema`).
Interface parse_interface(std::string_view data, const std::string& member);

// The tensor at a structure path (`boxes/0/scores`; tuples by index or field), or null. `path` is empty for the root.
const TensorInfo* find_path(const Node& node, std::string_view path);

// A tree in one line, as messages and `inspect` show it.
std::string describe(const Node& node);
std::string describe(const TensorInfo& tensor);

}  // namespace tl
