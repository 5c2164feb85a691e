// The messages of onnx.proto and how they contain one another (field numbers of onnx/onnx-ml.proto, ONNX 1.18).
#pragma once

#include <cstdint>

namespace tl::onnx {

enum class Message : std::uint8_t {
  model,
  graph,
  node,
  attribute,
  tensor,
  sparse_tensor,
  function,
  value_info,
  type,
  tensor_type,
  sequence_type,
  map_type,
  optional_type,
  sparse_tensor_type,
  shape,
  dimension,
  entry,
  opset,
  annotation,
  training,
  segment,
  leaf,
};

// `child` is the message in the field `number` of `parent`. A field that is not repeated may stand once.
struct Field {
  Message parent;
  std::uint32_t number;
  Message child;
  bool repeated;
};

constexpr Field kFields[] = {
    {Message::model, 7, Message::graph, false},
    {Message::model, 8, Message::opset, true},
    {Message::model, 14, Message::entry, true},
    {Message::model, 20, Message::training, true},
    {Message::model, 25, Message::function, true},
    {Message::graph, 1, Message::node, true},
    {Message::graph, 5, Message::tensor, true},
    {Message::graph, 11, Message::value_info, true},
    {Message::graph, 12, Message::value_info, true},
    {Message::graph, 13, Message::value_info, true},
    {Message::graph, 14, Message::annotation, true},
    {Message::graph, 15, Message::sparse_tensor, true},
    {Message::graph, 16, Message::entry, true},
    {Message::node, 5, Message::attribute, true},
    {Message::node, 9, Message::entry, true},
    {Message::attribute, 5, Message::tensor, false},
    {Message::attribute, 6, Message::graph, false},
    {Message::attribute, 10, Message::tensor, true},
    {Message::attribute, 11, Message::graph, true},
    {Message::attribute, 14, Message::type, false},
    {Message::attribute, 15, Message::type, true},
    {Message::attribute, 22, Message::sparse_tensor, false},
    {Message::attribute, 23, Message::sparse_tensor, true},
    {Message::tensor, 3, Message::segment, false},
    {Message::tensor, 13, Message::entry, true},
    {Message::tensor, 16, Message::entry, true},
    {Message::sparse_tensor, 1, Message::tensor, false},
    {Message::sparse_tensor, 2, Message::tensor, false},
    {Message::function, 7, Message::node, true},
    {Message::function, 9, Message::opset, true},
    {Message::function, 11, Message::attribute, true},
    {Message::function, 12, Message::value_info, true},
    {Message::function, 14, Message::entry, true},
    {Message::value_info, 2, Message::type, false},
    {Message::value_info, 4, Message::entry, true},
    {Message::type, 1, Message::tensor_type, false},
    {Message::type, 4, Message::sequence_type, false},
    {Message::type, 5, Message::map_type, false},
    {Message::type, 8, Message::sparse_tensor_type, false},
    {Message::type, 9, Message::optional_type, false},
    {Message::tensor_type, 2, Message::shape, false},
    {Message::sparse_tensor_type, 2, Message::shape, false},
    {Message::sequence_type, 1, Message::type, false},
    {Message::optional_type, 1, Message::type, false},
    {Message::map_type, 2, Message::type, false},
    {Message::shape, 1, Message::dimension, true},
    {Message::annotation, 2, Message::entry, true},
    {Message::training, 1, Message::graph, false},
    {Message::training, 2, Message::graph, false},
    {Message::training, 3, Message::entry, true},
    {Message::training, 4, Message::entry, true},
};

}  // namespace tl::onnx
