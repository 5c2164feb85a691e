// Rules over a model's functions and their calls.
#include "onnx_contents.h"

#include <algorithm>
#include <map>

#include "error.h"

namespace tl::onnx {
namespace {

// Nodes after every call of a function is replaced by its body, as runtimes do.
constexpr std::uint64_t kMaxNodes = 1 << 20;

std::string text_of(const Callee& callee) {
  std::string text;
  for (const std::string& part : {std::get<0>(callee), std::get<1>(callee), std::get<2>(callee)}) {
    if (!part.empty()) text += (text.empty() ? "" : "::") + part;
  }
  return quoted(text);
}

Error refusal(const std::string& what, const std::string& member) {
  return package_error(what, member, "onnx-functions");
}

// The functions that each function calls, as positions.
std::vector<std::vector<std::size_t>> resolve_calls(const std::vector<Body>& functions,
                                                    const std::map<Callee, std::size_t>& positions) {
  std::vector<std::vector<std::size_t>> calls;
  for (const Body& body : functions) {
    std::vector<std::size_t>& called = calls.emplace_back();
    for (const Callee& callee : body.calls) {
      const auto found = positions.find(callee);
      if (found != positions.end()) called.push_back(found->second);
    }
  }
  return calls;
}

// A function whose calls are being followed, and the next of them.
struct Followed {
  std::size_t function, next;
};

// For each function, its nodes with those of all that it calls, no more than `kMaxNodes` + 1.
std::vector<std::uint64_t> expand(const std::vector<Body>& functions,
                                  const std::vector<std::vector<std::size_t>>& calls, const std::string& member) {
  enum class Mark : char { unseen, followed, sized };
  std::vector<Mark> marks(functions.size(), Mark::unseen);
  std::vector<std::uint64_t> sizes(functions.size());
  for (std::size_t root = 0; root < functions.size(); ++root) {
    std::vector<Followed> stack;
    if (marks[root] == Mark::unseen) stack.push_back({root, 0});
    while (!stack.empty()) {
      Followed& top = stack.back();
      marks[top.function] = Mark::followed;
      if (top.next == calls[top.function].size()) {
        std::uint64_t size = functions[top.function].nodes;
        for (const std::size_t called : calls[top.function]) size = std::min(size + sizes[called], kMaxNodes + 1);
        sizes[top.function] = size;
        marks[top.function] = Mark::sized;
        stack.pop_back();
        continue;
      }
      const std::size_t called = calls[top.function][top.next++];
      if (marks[called] == Mark::followed) {
        throw refusal("The function " + text_of(functions[called].name) + " calls itself.", member);
      }
      if (marks[called] == Mark::unseen) stack.push_back({called, 0});
    }
  }
  return sizes;
}

}  // namespace

bool is_standard_domain(const std::string& domain) {
  return domain.empty() || domain == "ai.onnx" || domain == "ai.onnx.ml";
}

void check_functions(const Body& graph, const std::vector<Body>& functions, const std::set<std::string>& domains,
                     const std::string& member) {
  std::map<Callee, std::size_t> positions;
  for (const Body& body : functions) {
    if (!positions.emplace(body.name, positions.size()).second) {
      throw refusal("The function " + text_of(body.name) + " stands twice.", member);
    }
    const std::string& domain = std::get<0>(body.name);
    if (is_standard_domain(domain) || domains.count(domain) != 0) {
      throw refusal("The function " + text_of(body.name) + " takes the place of an operator.", member);
    }
  }
  const std::vector<std::uint64_t> sizes = expand(functions, resolve_calls(functions, positions), member);
  std::uint64_t total = graph.nodes;
  for (const Callee& callee : graph.calls) {
    const auto found = positions.find(callee);
    if (found != positions.end()) total = std::min(total + sizes[found->second], kMaxNodes + 1);
  }
  const std::uint64_t largest = sizes.empty() ? 0 : *std::max_element(sizes.begin(), sizes.end());
  if (std::max(total, largest) > kMaxNodes) {
    throw refusal("The model has more than 1048576 nodes when its functions are put in place.", member);
  }
}

void check_domains(const Body& graph, const std::vector<Body>& functions, const std::set<std::string>& domains,
                   const std::string& member) {
  std::set<Callee> own;
  for (const Body& body : functions) own.insert(body.name);
  const auto check = [&](const Body& body) {
    for (const Callee& callee : body.calls) {
      if (domains.count(std::get<0>(callee)) == 0 && own.count(callee) == 0) {
        throw package_error("The operator " + text_of(callee) + " is neither ONNX's nor the model's own.", member,
                            "onnx-domains");
      }
    }
  };
  check(graph);
  for (const Body& body : functions) check(body);
}

}  // namespace tl::onnx
