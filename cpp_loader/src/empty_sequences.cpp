#include "empty_sequences.h"

#include <algorithm>
#include <iterator>

namespace tl {
namespace {

// The field `op_type` of a serialized node; runtime/empty_sequences.py looks for the same.
constexpr std::string_view kOperators[] = {"\"\x03GRU", "\"\x04LSTM", "\"\x03RNN"};

}  // namespace

bool fails_on_empty(std::string_view model) {
  return std::any_of(std::begin(kOperators), std::end(kOperators), [&](std::string_view operator_) {
    return model.find(operator_) != std::string_view::npos;
  });
}

}  // namespace tl
