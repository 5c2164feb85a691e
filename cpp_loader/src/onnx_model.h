// A stored `model.onnx` made to lie over the package file: its external data points into that file.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "zip_records.h"

namespace tl {

// Who wrote a model: transload, or ONNX Runtime when it optimised the graph, in the user's cache or inside a package.
// ONNX Runtime has alignments of its own; in the cache there are pre-packed weights too.
enum class ModelOrigin { portable, cache, embedded };

// What is known of a model before it is read. `location` is the file name by which it calls its weights, `data` the
// member that holds them (null where there is none), `archive` how the package's file is to be called. Operators may be
// of `domains` besides ONNX's and the model's own.
struct ModelPlace {
  std::string location;
  const zip::Member* data;
  std::string archive;
  ModelOrigin origin = ModelOrigin::portable;
  std::set<std::string> domains = {};
};

// A model whose external data points into the package, and what its graph says of itself.
struct OnnxModel {
  std::string bytes;
  std::vector<std::string> inputs, outputs;
  std::set<std::string> initializers;
  std::vector<std::pair<std::string, std::int64_t>> opsets;  // by domain
};

// Rewrites every reference, of initializers, sparse ones, attributes, subgraphs and functions; the rest of the bytes
// stays. `member` names the model in errors.
//
// Throws Error: the bytes are no ONNX model (rule `onnx`), it breaks a rule of docs/format.md, section 2.4 (`onnx-…`),
// or a reference names another file, lies outside the member, is not aligned, or has another length than its dimensions
// and element type need (rule `external-data`; of a model by ONNX Runtime, `tuned-variant`).
OnnxModel point_into(std::string_view model, const std::string& member, const ModelPlace& place);

}  // namespace tl
