// What a walk over a model gathers for the rules of docs/format.md, section 2.4, and the rules that need all of it.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace tl::onnx {

// How many functions a model may have.
constexpr std::size_t kMaxFunctions = 4096;

// What a node calls a function by: its domain, name and overload.
using Callee = std::tuple<std::string, std::string, std::string>;

// The graph or one function, subgraphs included.
struct Body {
  Callee name;  // of a function
  std::uint64_t nodes = 0;
  std::vector<Callee> calls;  // of nodes outside the standard domains
};

bool is_standard_domain(const std::string& domain);

// Throws Error (rule `onnx-functions`): functions stand twice, take the place of operators of ONNX or of `domains`,
// call themselves, or expand to too many nodes.
void check_functions(const Body& graph, const std::vector<Body>& functions, const std::set<std::string>& domains,
                     const std::string& member);

// Throws Error (rule `onnx-domains`): an operator is neither ONNX's nor of `domains` nor the model's own.
void check_domains(const Body& graph, const std::vector<Body>& functions, const std::set<std::string>& domains,
                   const std::string& member);

}  // namespace tl::onnx
