// Models that must not see an empty tensor: ONNX Runtime's kernels for GRU and LSTM end the whole process over one.
#pragma once

#include <string_view>

namespace tl {

// Whether a serialized model has a recurrent operator. With ONNX Runtime 1.31.1, GRU over no rows or no steps and LSTM
// over no rows call std::terminate; over no steps, LSTM and RNN forget the initial state.
bool fails_on_empty(std::string_view model);

}  // namespace tl
