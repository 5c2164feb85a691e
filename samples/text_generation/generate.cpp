// Continues a text with a package that has `prefill` and `decode`, with neither Python nor a tokenizer: token ids in,
// the likeliest tokens out.
//
//   c++ -std=c++17 generate.cpp -o generate -ltransload
//   ./generate decoder.tload 40 5 17 3
#include <transload/transload.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

using transload::Input;
using transload::Model;
using transload::Results;
using transload::Tensor;

namespace {

// What a component takes of the last tokens, the mask over all of them, and their positions. With the past of a former
// call, its `present` tensors are handed on as they are: nothing is copied.
Results step(const Model& model, std::vector<std::int64_t>& tokens, std::size_t length, const Results* past) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::vector<std::int64_t> mask(length, 1), positions(tokens.size());
  for (std::size_t index = 0; index < tokens.size(); ++index) {
    positions[index] = static_cast<std::int64_t>(length - tokens.size() + index);
  }
  std::vector<std::pair<std::string, Tensor>> given;
  given.emplace_back("input_ids", Tensor::over(tokens, {1, count}));
  given.emplace_back("attention_mask", Tensor::over(mask, {1, static_cast<std::int64_t>(length)}));
  given.emplace_back("position_ids", Tensor::over(positions, {1, count}));

  const std::string prefix = "past_key_values";
  std::vector<Input> inputs;
  for (const transload::TensorInfo& info : model.inputs()) {
    if (past != nullptr && info.name.rfind(prefix, 0) == 0) {
      inputs.emplace_back(info.name, (*past)["present" + info.name.substr(prefix.size())]);
    }
    for (const auto& [name, tensor] : given) {
      if (name == info.name) inputs.emplace_back(name, tensor);
    }
  }
  return model.run(inputs);
}

// The token with the largest logit at the last position.
std::int64_t choose_best(const Tensor& logits) {
  const transload::Shape shape = logits.shape();
  const float* last = logits.data<float>() + (shape[1] - 1) * shape[2];
  return std::distance(last, std::max_element(last, last + shape[2]));
}

Model open_component(const std::string& path, const std::string& component) {
  transload::Options options;
  options.component = component;
  return Model::open(path, options);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 4) {
    std::cerr << "usage: generate PACKAGE COUNT TOKEN...\n";
    return 2;
  }
  const Model prefill = open_component(argv[1], "prefill");
  const Model decode = open_component(argv[1], "decode");
  std::vector<std::int64_t> tokens;
  for (int index = 3; index < argc; ++index) tokens.push_back(std::atoll(argv[index]));

  std::size_t length = tokens.size();
  Results results = step(prefill, tokens, length, nullptr);
  for (int remaining = std::atoi(argv[2]); remaining > 0; --remaining) {
    tokens = {choose_best(results["logits"])};
    std::cout << tokens[0] << (remaining > 1 ? ' ' : '\n') << std::flush;
    if (remaining > 1) results = step(decode, tokens, ++length, &results);
  }
  return 0;
} catch (const transload::Error& error) {
  std::cerr << error.what() << '\n';
  return static_cast<int>(error.status());
}
