// Reading TensorProto: raw bytes, or the typed field that belongs to the element type (onnx.proto, TensorProto).
#include "tensor_proto.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "error.h"
#include "onnx_messages.h"
#include "unicode.h"
#include "wire.h"

namespace tl {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;

// Dimensions of an array in numpy, which the other reader takes.
constexpr std::size_t kMaxRank = 64;

struct Proto {
  TensorValues values;
  std::int32_t data_type = 0;
  bool has_raw = false, is_external = false, has_segment = false;
  std::vector<std::int64_t> int32_data, int64_data;
  std::vector<std::uint64_t> uint64_data;
  std::vector<float> float_data;
  std::vector<double> double_data;
};

// A field of numbers comes packed or one by one.
template <typename Number, typename One, typename Packed>
void read_numbers(pbf_reader& message, std::vector<Number>& into, One one, Packed packed) {
  if (message.wire_type() == pbf_wire_type::length_delimited) {
    for (const auto value : (message.*packed)()) into.push_back(static_cast<Number>(value));
  } else {
    into.push_back(static_cast<Number>((message.*one)()));
  }
}

void read_field(pbf_reader& message, Proto& proto) {
  const bool is_text = message.wire_type() == pbf_wire_type::length_delimited;
  const bool is_varint = message.wire_type() == pbf_wire_type::varint;
  const bool is_fixed32 = message.wire_type() == pbf_wire_type::fixed32;
  const bool is_fixed64 = message.wire_type() == pbf_wire_type::fixed64;
  const std::uint32_t tag = message.tag();
  if (tag == 1 && (is_varint || is_text)) {
    read_numbers(message, proto.values.shape, &pbf_reader::get_int64, &pbf_reader::get_packed_int64);
  } else if (tag == 2 && is_varint) {
    proto.data_type = message.get_int32();
  } else if (tag == 3 && is_text) {
    proto.has_segment = true;
    message.skip();
  } else if (tag == 4 && (is_fixed32 || is_text)) {
    read_numbers(message, proto.float_data, &pbf_reader::get_float, &pbf_reader::get_packed_float);
  } else if (tag == 5 && (is_varint || is_text)) {
    read_numbers(message, proto.int32_data, &pbf_reader::get_int32, &pbf_reader::get_packed_int32);
  } else if (tag == 6 && is_text) {
    proto.values.strings.push_back(message.get_string());
  } else if (tag == 7 && (is_varint || is_text)) {
    read_numbers(message, proto.int64_data, &pbf_reader::get_int64, &pbf_reader::get_packed_int64);
  } else if (tag == 8 && is_text) {
    proto.values.name = message.get_string();
  } else if (tag == 9 && is_text) {
    proto.values.bytes = message.get_string();
    proto.has_raw = true;
  } else if (tag == 10 && (is_fixed64 || is_text)) {
    read_numbers(message, proto.double_data, &pbf_reader::get_double, &pbf_reader::get_packed_double);
  } else if (tag == 11 && (is_varint || is_text)) {
    read_numbers(message, proto.uint64_data, &pbf_reader::get_uint64, &pbf_reader::get_packed_uint64);
  } else if ((tag == 13 && is_text) || (tag == 14 && is_varint && message.get_enum() == 1)) {
    proto.is_external = true;
    if (tag == 13) message.skip();
  } else if (tag != 14 || !is_varint) {
    message.skip();
  }
}

// The low `width` bytes of each number.
template <typename Number>
std::string narrow(const std::vector<Number>& numbers, std::size_t width) {
  std::string bytes;
  for (const Number number : numbers) bytes.append(reinterpret_cast<const char*>(&number), width);
  return bytes;
}

std::string typed_bytes(const Proto& proto, Dtype dtype) {
  switch (dtype) {
    case Dtype::float32:
      return narrow(proto.float_data, 4);
    case Dtype::float64:
      return narrow(proto.double_data, 8);
    case Dtype::int64:
      return narrow(proto.int64_data, 8);
    case Dtype::uint32:
      return narrow(proto.uint64_data, 4);
    case Dtype::uint64:
      return narrow(proto.uint64_data, 8);
    case Dtype::int32:
      return narrow(proto.int32_data, 4);
    default:
      return narrow(proto.int32_data, std::max<std::size_t>(dtype_bits(dtype) / 8, 1));
  }
}

std::size_t packed_integer_bytes(pbf_reader message) {
  const std::uint32_t tag = message.tag();
  const bool is_integers = tag == 1 || tag == onnx::kInt32Data || tag == onnx::kInt64Data || tag == onnx::kUint64Data;
  return is_integers && message.wire_type() == pbf_wire_type::length_delimited ? message.get_view().size() : 0;
}

Proto read_proto(std::string_view data, const std::string& member) {
  Proto proto;
  try {
    std::uint64_t fields = 0;
    const char* header = data.data();
    for (pbf_reader message(data.data(), data.size()); message.next(); header = message.data().data()) {
      check_tag(header);
      fields += 1 + packed_integer_bytes(message);
      if (fields > onnx::kMaxFields) throw WireError("it has too many values that are not raw bytes");
      read_field(message, proto);
    }
  } catch (const protozero::exception& error) {
    throw package_error(std::string("Not a tensor: ") + error.what() + ".", member, "vectors");
  } catch (const WireError& error) {
    throw package_error(std::string("Not a tensor: ") + error.what() + ".", member, "vectors");
  }
  return proto;
}

}  // namespace

TensorValues parse_tensor(std::string_view data, const std::string& member) {
  Proto proto = read_proto(data, member);
  const auto refuse_if = [&](bool broken, const char* what) {
    if (broken) throw package_error(what, member, "vectors");
  };
  refuse_if(proto.is_external, "A vector may not be external data.");
  const auto dtype = dtype_from_onnx(proto.data_type);
  refuse_if(proto.has_segment || !dtype, "Not a tensor: it comes in segments or has an unknown element type.");
  TensorValues& values = proto.values;
  values.dtype = *dtype;
  refuse_if(values.shape.size() > kMaxRank || !has_possible_dims(values.shape),
            "Not a tensor: its dimensions cannot be.");
  const auto count = element_count(values.shape.data(), values.shape.size());
  refuse_if(!count, "Not a tensor: a dimension is negative or the shape too large.");
  if (*dtype == Dtype::string) {
    const auto is_utf8 = [](const std::string& text) { return unicode::decode_utf8(text).has_value(); };
    refuse_if(values.strings.size() != *count || !std::all_of(values.strings.begin(), values.strings.end(), is_utf8),
              "Not a tensor: its strings are not UTF-8, or not as many as its shape needs.");
    values.bytes.clear();
    return std::move(values);
  }
  if (!proto.has_raw) values.bytes = typed_bytes(proto, *dtype);
  refuse_if(size_in_bytes(*dtype, *count) != values.bytes.size(),
            "Not a tensor: it has not as many values as its shape needs.");
  values.strings.clear();
  return std::move(values);
}

}  // namespace tl
