// Checks of external data, each with the same verdict as the Python reader's.
#include "external_tensor.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "dtypes.h"
#include "error.h"
#include "onnx_messages.h"

namespace tl {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;

constexpr std::uint32_t kExternalDataField = 13;
constexpr std::int32_t kExternal = 1;
constexpr std::size_t kMaxDigits = 20;

// As many entries as are kept; in order are three, and in a tuned variant some for pre-packed weights.
constexpr std::size_t kMaxEntries = 1 << 15;

// An entry of external_data, with the bytes of the whole field.
struct Entry {
  const char* begin;
  const char* end;
  std::string key, value;
};

struct Tensor {
  std::string name;
  std::vector<std::int64_t> dims;
  std::optional<std::int32_t> data_type, data_location;
  std::vector<Entry> entries;
  std::optional<std::uint64_t> raw_bytes;  // inside the model
};

Entry read_entry(pbf_reader& field, const char* begin) {
  Entry entry{begin, nullptr, "", ""};
  for (pbf_reader message = field.get_message(); message.next();) {
    const bool is_text = message.wire_type() == pbf_wire_type::length_delimited;
    if (is_text && message.tag() == 1) {
      entry.key = message.get_string();
    } else if (is_text && message.tag() == 2) {
      entry.value = message.get_string();
    } else {
      message.skip();
    }
  }
  entry.end = field.data().data();
  return entry;
}

Tensor read_tensor(pbf_reader message) {
  Tensor tensor;
  const char* begin = message.data().data();
  std::uint64_t fields = 0;
  for (; message.next(); begin = message.data().data()) {
    const pbf_wire_type wire = message.wire_type();
    // The walk over the model comes to that many fields as well, and refuses it.
    if (++fields > onnx::kMaxFields) break;
    if (message.tag() == 1 && wire == pbf_wire_type::varint) {
      tensor.dims.push_back(message.get_int64());
    } else if (message.tag() == 1 && wire == pbf_wire_type::length_delimited) {
      fields += pbf_reader(message).get_view().size();
      if (fields > onnx::kMaxFields) break;
      for (const std::int64_t dim : message.get_packed_int64()) tensor.dims.push_back(dim);
    } else if (message.tag() == 2 && wire == pbf_wire_type::varint) {
      tensor.data_type = message.get_int32();
    } else if (message.tag() == 8 && wire == pbf_wire_type::length_delimited) {
      tensor.name = message.get_string();
    } else if (message.tag() == 9 && wire == pbf_wire_type::length_delimited) {
      tensor.raw_bytes = message.get_view().size();
    } else if (message.tag() == kExternalDataField && wire == pbf_wire_type::length_delimited) {
      Entry entry = read_entry(message, begin);
      if (tensor.entries.size() < kMaxEntries) tensor.entries.push_back(std::move(entry));
    } else if (message.tag() == 14 && wire == pbf_wire_type::varint) {
      tensor.data_location = message.get_enum();
    } else {
      message.skip();
    }
  }
  return tensor;
}

// A number of decimal digits, or nothing where it is not that or over 64 bits.
std::optional<std::uint64_t> read_number(const std::string& text) {
  if (text.empty() || text.size() > kMaxDigits) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (c < '0' || c > '9' || value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

const Entry* find_entry(const Tensor& tensor, const char* key) {
  const auto found =
      std::find_if(tensor.entries.begin(), tensor.entries.end(), [&](const Entry& entry) { return entry.key == key; });
  return found == tensor.entries.end() ? nullptr : &*found;
}

// Checks a tensor whose data is inside the model.
void check_inside(const Tensor& tensor, const std::string& member) {
  bool broken = !has_possible_dims(tensor.dims);
  const auto dtype = dtype_from_onnx(tensor.data_type.value_or(0));
  if (!broken && tensor.raw_bytes && dtype && *dtype != Dtype::string) {
    broken = size_in_bytes(*dtype, *element_count(tensor.dims.data(), tensor.dims.size())) != *tensor.raw_bytes;
  }
  if (broken) {
    throw package_error("The dimensions of tensor " + quoted(tensor.name) + " cannot be.", member, "onnx-tensors");
  }
}

// The place of the tensor inside the data member, or what is wrong with it.
std::uint64_t check_reference(const Tensor& tensor, const std::string& member, const ModelPlace& place) {
  const auto refuse_if = [&](bool broken, const std::string& what) {
    if (broken) {
      throw package_error("External data of tensor " + quoted(tensor.name) + ": " + what + ".", member,
                          "external-data");
    }
  };
  refuse_if(tensor.data_location.value_or(0) != kExternal, "its location is contradictory");
  const Entry* location = find_entry(tensor, "location");
  const Entry* offset_entry = find_entry(tensor, "offset");
  const Entry* length_entry = find_entry(tensor, "length");
  refuse_if(place.data == nullptr || tensor.entries.size() != 3 || location == nullptr || offset_entry == nullptr ||
                length_entry == nullptr || location->value != place.location,
            "it may only be in " + quoted(place.location) + ", with an offset and a length");
  const auto offset = read_number(offset_entry->value), length = read_number(length_entry->value);
  refuse_if(!offset || !length, "offset or length is not a number");
  refuse_if(*offset > place.data->size_bytes || *length > place.data->size_bytes - *offset,
            "it ends past the end of " + place.data->name);
  refuse_if(*offset % zip::alignment_of(*length) != 0, "its offset is not aligned");
  const auto dtype = dtype_from_onnx(tensor.data_type.value_or(0));
  refuse_if(!dtype || *dtype == Dtype::string ||
                std::any_of(tensor.dims.begin(), tensor.dims.end(), [](std::int64_t dim) { return dim < 0; }),
            "it has an element type or a dimension that cannot be");
  const auto count = element_count(tensor.dims.data(), tensor.dims.size());
  const auto needed = count ? size_in_bytes(*dtype, *count) : std::nullopt;
  refuse_if(needed != length, "it has another length than its shape and dtype need");
  return *offset;
}

void append_text(std::string& out, std::uint32_t number, const std::string& text) {
  protozero::write_varint(std::back_inserter(out), number << 3U | 2U);
  protozero::write_varint(std::back_inserter(out), text.size());
  out += text;
}

Edit replace_value(const Entry& entry, const std::string& value) {
  std::string content, field;
  append_text(content, 1, entry.key);
  append_text(content, 2, value);
  append_text(field, kExternalDataField, content);
  return {entry.begin, entry.end, std::move(field)};
}

// The refusal of a tuned variant's external data.
Error tuned_error(const Tensor& tensor, const std::string& member) {
  return package_error("External data of tensor " + quoted(tensor.name) + " is not a tuned variant's.", member,
                       "tuned-variant");
}

// `OFFSET;LENGTH[;CHECKSUM]` inside the weights as the same inside the file; nothing where it leaves the weights or is
// not aligned.
std::optional<std::string> move_range(const std::string& range, const zip::Member& data) {
  const std::size_t semicolon = std::min(range.find(';'), range.size());
  const std::string rest = range.substr(std::min(semicolon + 1, range.size()));
  const auto offset = read_number(range.substr(0, semicolon)), length = read_number(rest.substr(0, rest.find(';')));
  if (!offset || !length || *offset > data.size_bytes || *length > data.size_bytes - *offset) return std::nullopt;
  // ONNX Runtime's kernels would take the process down.
  if (*offset % zip::alignment_of(*length) != 0) return std::nullopt;
  return std::to_string(data.offset + *offset) + ";" + rest;
}

bool is_prepacked(const std::string& key) {
  constexpr std::string_view kPrefix = "prepacked_";
  return key.size() > kPrefix.size() && key.compare(0, kPrefix.size(), kPrefix) == 0 &&
         key.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
}

// `KERNEL|RANGE[|RANGE …]`, each range moved (onnxruntime/core/framework/tensor_external_data_info.cc).
std::optional<std::string> move_prepacked(const std::string& value, const zip::Member& data) {
  std::size_t bar = value.find('|');
  std::string moved = value.substr(0, bar);
  while (bar != std::string::npos) {
    const std::size_t end = value.find('|', bar + 1);
    const auto range = move_range(value.substr(bar + 1, end == std::string::npos ? end : end - bar - 1), data);
    if (!range) return std::nullopt;
    moved += "|" + *range;
    bar = end;
  }
  return moved;
}

std::vector<Edit> point_tuned_tensor(const Tensor& tensor, const std::string& member, const ModelPlace& place) {
  const Error refusal = tuned_error(tensor, member);
  const Entry* location = find_entry(tensor, "location");
  const Entry* offset = find_entry(tensor, "offset");
  const Entry* length = find_entry(tensor, "length");
  if (place.data == nullptr || location == nullptr || offset == nullptr || length == nullptr ||
      location->value != place.location) {
    throw refusal;
  }
  const auto range = move_range(offset->value + ";" + length->value, *place.data);
  const auto dtype = dtype_from_onnx(tensor.data_type.value_or(0));
  const auto count = element_count(tensor.dims.data(), tensor.dims.size());
  const bool has_size = dtype && *dtype != Dtype::string && count;
  if (!range || !has_size || size_in_bytes(*dtype, *count) != read_number(length->value)) throw refusal;
  std::vector<Edit> edits = {replace_value(*location, place.archive),
                             replace_value(*offset, range->substr(0, range->find(';')))};
  for (const Entry& entry : tensor.entries) {
    if (&entry == location || &entry == offset || &entry == length) continue;
    // A key that stands twice is not one of those either.
    const bool is_known = place.origin == ModelOrigin::cache && is_prepacked(entry.key) &&
                          find_entry(tensor, entry.key.c_str()) == &entry;
    const auto moved = is_known ? move_prepacked(entry.value, *place.data) : std::nullopt;
    if (!moved) throw refusal;
    edits.push_back(replace_value(entry, *moved));
  }
  return edits;
}

}  // namespace

bool is_outside(pbf_reader message) {
  while (message.next()) {
    const pbf_wire_type wire = message.wire_type();
    if (message.tag() == kExternalDataField && wire == pbf_wire_type::length_delimited) return true;
    if (message.tag() == 14 && wire == pbf_wire_type::varint) {
      if (message.get_enum() == kExternal) return true;
    } else {
      message.skip();
    }
  }
  return false;
}

std::vector<Edit> point_tensor(pbf_reader message, const std::string& member, const ModelPlace& place) {
  const Tensor tensor = read_tensor(message);
  // Either sign of being external counts: readers differ in which of the two they look at.
  if (tensor.data_location.value_or(0) != kExternal && tensor.entries.empty()) {
    check_inside(tensor, member);
    return {};
  }
  if (place.origin != ModelOrigin::portable) return point_tuned_tensor(tensor, member, place);
  const std::uint64_t offset = check_reference(tensor, member, place);
  return {replace_value(*find_entry(tensor, "location"), place.archive),
          replace_value(*find_entry(tensor, "offset"), std::to_string(place.data->offset + offset))};
}

}  // namespace tl
