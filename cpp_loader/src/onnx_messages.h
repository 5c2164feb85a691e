// The messages of onnx.proto and how they contain one another (field numbers of onnx/onnx-ml.proto, ONNX 1.23).
#pragma once

#include <cstdint>

#include "wire.h"

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
  configuration,
  node_configuration,
  sharding,
  sharding_groups,
  sharded_dimension,
  simple_sharding,
  opaque_type,
  scalar,
};

enum class Count : std::uint8_t { once, many };

// What stands in the field `number` of `parent`: a message, or a scalar or string. A field that is there once may stand
// once only; alternatives of a oneof, of which there may be one, share a `slot`.
struct Field {
  Message parent;
  std::uint32_t number;
  Message child;
  Count count = Count::once;
  protozero::pbf_wire_type wire = protozero::pbf_wire_type::length_delimited;
  std::uint32_t slot = number;
};

constexpr auto kVarint = protozero::pbf_wire_type::varint;
constexpr auto kFixed32 = protozero::pbf_wire_type::fixed32;
constexpr auto kText = protozero::pbf_wire_type::length_delimited;

// The most messages and fields of a model, and fields of a vector. Of packed integers each byte counts as a field,
// since it may take eight of memory.
constexpr std::uint64_t kMaxMessages = 1 << 18, kMaxFields = 1 << 19;

// Numbers of a tensor that come packed; the integers take one byte or more each.
constexpr std::uint32_t kFloatData = 4, kInt32Data = 5, kInt64Data = 7, kDoubleData = 10, kUint64Data = 11;

// Every field of every message. Packed numbers are texts on the wire.
constexpr Field kFields[] = {
    {Message::model, 1, Message::scalar, Count::once, kVarint},
    {Message::model, 2, Message::scalar},
    {Message::model, 3, Message::scalar},
    {Message::model, 4, Message::scalar},
    {Message::model, 5, Message::scalar, Count::once, kVarint},
    {Message::model, 6, Message::scalar},
    {Message::model, 7, Message::graph},
    {Message::model, 8, Message::opset, Count::many},
    {Message::model, 14, Message::entry, Count::many},
    {Message::model, 20, Message::training, Count::many},
    {Message::model, 25, Message::function, Count::many},
    {Message::model, 26, Message::configuration, Count::many},
    {Message::opset, 1, Message::scalar},
    {Message::opset, 2, Message::scalar, Count::once, kVarint},
    {Message::graph, 1, Message::node, Count::many},
    {Message::graph, 2, Message::scalar},
    {Message::graph, 5, Message::tensor, Count::many},
    {Message::graph, 10, Message::scalar},
    {Message::graph, 11, Message::value_info, Count::many},
    {Message::graph, 12, Message::value_info, Count::many},
    {Message::graph, 13, Message::value_info, Count::many},
    {Message::graph, 14, Message::annotation, Count::many},
    {Message::graph, 15, Message::sparse_tensor, Count::many},
    {Message::graph, 16, Message::entry, Count::many},
    {Message::entry, 1, Message::scalar},
    {Message::entry, 2, Message::scalar},
    {Message::training, 1, Message::graph},
    {Message::training, 2, Message::graph},
    {Message::training, 3, Message::entry, Count::many},
    {Message::training, 4, Message::entry, Count::many},
    {Message::function, 1, Message::scalar},
    {Message::function, 4, Message::scalar, Count::many},
    {Message::function, 5, Message::scalar, Count::many},
    {Message::function, 6, Message::scalar, Count::many},
    {Message::function, 7, Message::node, Count::many},
    {Message::function, 8, Message::scalar},
    {Message::function, 9, Message::opset, Count::many},
    {Message::function, 10, Message::scalar},
    {Message::function, 11, Message::attribute, Count::many},
    {Message::function, 12, Message::value_info, Count::many},
    {Message::function, 13, Message::scalar},
    {Message::function, 14, Message::entry, Count::many},
    {Message::configuration, 1, Message::scalar},
    {Message::configuration, 2, Message::scalar, Count::once, kVarint},
    {Message::configuration, 3, Message::scalar, Count::many},
    {Message::node, 1, Message::scalar, Count::many},
    {Message::node, 2, Message::scalar, Count::many},
    {Message::node, 3, Message::scalar},
    {Message::node, 4, Message::scalar},
    {Message::node, 5, Message::attribute, Count::many},
    {Message::node, 6, Message::scalar},
    {Message::node, 7, Message::scalar},
    {Message::node, 8, Message::scalar},
    {Message::node, 9, Message::entry, Count::many},
    {Message::node, 10, Message::node_configuration, Count::many},
    {Message::tensor, 1, Message::scalar, Count::many, kVarint},
    {Message::tensor, 2, Message::scalar, Count::once, kVarint},
    {Message::tensor, 3, Message::segment},
    {Message::tensor, 4, Message::scalar, Count::many},
    {Message::tensor, 5, Message::scalar, Count::many},
    {Message::tensor, 6, Message::scalar, Count::many},
    {Message::tensor, 7, Message::scalar, Count::many},
    {Message::tensor, 8, Message::scalar},
    {Message::tensor, 9, Message::scalar},
    {Message::tensor, 10, Message::scalar, Count::many},
    {Message::tensor, 11, Message::scalar, Count::many},
    {Message::tensor, 12, Message::scalar},
    {Message::tensor, 13, Message::entry, Count::many},
    {Message::tensor, 14, Message::scalar, Count::once, kVarint},
    {Message::tensor, 16, Message::entry, Count::many},
    {Message::sparse_tensor, 1, Message::tensor},
    {Message::sparse_tensor, 2, Message::tensor},
    {Message::sparse_tensor, 3, Message::scalar, Count::many, kVarint},
    {Message::value_info, 1, Message::scalar},
    {Message::value_info, 2, Message::type},
    {Message::value_info, 3, Message::scalar},
    {Message::value_info, 4, Message::entry, Count::many},
    {Message::annotation, 1, Message::scalar},
    {Message::annotation, 2, Message::entry, Count::many},
    {Message::attribute, 1, Message::scalar},
    {Message::attribute, 2, Message::scalar, Count::once, kFixed32},
    {Message::attribute, 3, Message::scalar, Count::once, kVarint},
    {Message::attribute, 4, Message::scalar},
    {Message::attribute, 5, Message::tensor},
    {Message::attribute, 6, Message::graph},
    {Message::attribute, 7, Message::scalar, Count::many, kFixed32},
    {Message::attribute, 8, Message::scalar, Count::many, kVarint},
    {Message::attribute, 9, Message::scalar, Count::many},
    {Message::attribute, 10, Message::tensor, Count::many},
    {Message::attribute, 11, Message::graph, Count::many},
    {Message::attribute, 13, Message::scalar},
    {Message::attribute, 14, Message::type},
    {Message::attribute, 15, Message::type, Count::many},
    {Message::attribute, 20, Message::scalar, Count::once, kVarint},
    {Message::attribute, 21, Message::scalar},
    {Message::attribute, 22, Message::sparse_tensor},
    {Message::attribute, 23, Message::sparse_tensor, Count::many},
    {Message::node_configuration, 1, Message::scalar},
    {Message::node_configuration, 2, Message::sharding, Count::many},
    {Message::node_configuration, 3, Message::scalar, Count::once, kVarint},
    {Message::segment, 1, Message::scalar, Count::once, kVarint},
    {Message::segment, 2, Message::scalar, Count::once, kVarint},
    {Message::type, 1, Message::tensor_type, Count::once, kText, 1},
    {Message::type, 4, Message::sequence_type, Count::once, kText, 1},
    {Message::type, 5, Message::map_type, Count::once, kText, 1},
    {Message::type, 6, Message::scalar},
    {Message::type, 7, Message::opaque_type, Count::once, kText, 1},
    {Message::type, 8, Message::sparse_tensor_type, Count::once, kText, 1},
    {Message::type, 9, Message::optional_type, Count::once, kText, 1},
    {Message::sharding, 1, Message::scalar},
    {Message::sharding, 2, Message::scalar, Count::many, kVarint},
    {Message::sharding, 3, Message::sharding_groups, Count::many},
    {Message::sharding, 4, Message::sharded_dimension, Count::many},
    {Message::tensor_type, 1, Message::scalar, Count::once, kVarint},
    {Message::tensor_type, 2, Message::shape},
    {Message::sequence_type, 1, Message::type},
    {Message::map_type, 1, Message::scalar, Count::once, kVarint},
    {Message::map_type, 2, Message::type},
    {Message::optional_type, 1, Message::type},
    {Message::sparse_tensor_type, 1, Message::scalar, Count::once, kVarint},
    {Message::sparse_tensor_type, 2, Message::shape},
    {Message::opaque_type, 1, Message::scalar},
    {Message::opaque_type, 2, Message::scalar},
    {Message::sharding_groups, 1, Message::scalar, Count::once, kVarint},
    {Message::sharding_groups, 2, Message::scalar, Count::many, kVarint},
    {Message::sharded_dimension, 1, Message::scalar, Count::once, kVarint},
    {Message::sharded_dimension, 2, Message::simple_sharding, Count::many},
    {Message::shape, 1, Message::dimension, Count::many},
    {Message::simple_sharding, 1, Message::scalar, Count::once, kVarint, 1},
    {Message::simple_sharding, 2, Message::scalar, Count::once, kText, 1},
    {Message::simple_sharding, 3, Message::scalar, Count::once, kVarint},
    {Message::dimension, 1, Message::scalar, Count::once, kVarint, 1},
    {Message::dimension, 2, Message::scalar, Count::once, kText, 1},
    {Message::dimension, 3, Message::scalar},
};

}  // namespace tl::onnx
