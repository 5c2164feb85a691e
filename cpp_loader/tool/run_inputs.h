// A model's inputs from a folder of .npy files or from recorded vectors, for the commands that run it.
#pragma once

#include <string>
#include <vector>

#include "model.h"

namespace tl {

// By position; without a value for state that has no file. Throws Error (usage).
std::vector<Tensor> read_inputs(const Model& model, const std::string& folder);

// By position.
std::vector<Tensor> recorded_inputs(const VectorSet& set);

std::vector<Feed> feed_of(const Model& model, const std::vector<Tensor>& inputs);
std::vector<std::size_t> all_outputs(const Model& model);

}  // namespace tl
