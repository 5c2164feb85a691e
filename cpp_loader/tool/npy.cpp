// Reading and writing .npy files. Source: numpy/lib/format.py, "Format Version 1.0".
#include "npy.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "error.h"
#include "floats.h"
#include "unicode.h"

namespace tl {
namespace {

constexpr std::size_t kAlignment = 64;

struct Header {
  std::string descr;
  std::vector<std::int64_t> shape;
  std::size_t data_begin;
};

const char* descr_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::float64:
      return "<f8";
    case Dtype::float32:
      return "<f4";
    case Dtype::float16:
      return "<f2";
    case Dtype::int64:
      return "<i8";
    case Dtype::int32:
      return "<i4";
    case Dtype::int16:
      return "<i2";
    case Dtype::int8:
      return "|i1";
    case Dtype::uint64:
      return "<u8";
    case Dtype::uint32:
      return "<u4";
    case Dtype::uint16:
      return "<u2";
    case Dtype::uint8:
      return "|u1";
    case Dtype::boolean:
      return "|b1";
    case Dtype::bfloat16:
      return "|V2";
    default:
      return "|V1";
  }
}

// Whether elements come as raw bytes of the width of a type that numpy lacks. ml_dtypes calls float8_e5m2 `f1`.
bool is_raw(const std::string& descr, Dtype dtype) {
  const std::string expected = descr_of(dtype);
  return expected[1] == 'V' && descr.size() == 3 &&
         (descr.substr(1) == expected.substr(1) || (dtype == Dtype::float8_e5m2 && descr.substr(1) == "f1"));
}

Error bad_file(const std::string& path, const std::string& what) { return usage_error(path + " " + what + "."); }

// The text after `key` in the header, which is a Python dict.
std::string value_of(const std::string& header, const std::string& key, const std::string& path) {
  const std::size_t found = header.find("'" + key + "':");
  if (found == std::string::npos) throw bad_file(path, "is not a .npy file");
  return header.substr(header.find_first_not_of(' ', found + key.size() + 3));
}

Header read_header(const std::string& data, const std::string& path) {
  if (data.size() < 12 || data.compare(0, 6, "\x93NUMPY") != 0) throw bad_file(path, "is not a .npy file");
  const auto byte = [&](std::size_t index) {
    return static_cast<std::size_t>(static_cast<unsigned char>(data[index]));
  };
  const bool is_short = byte(6) == 1;
  const std::size_t begin = is_short ? 10 : 12;
  const std::size_t size = byte(8) | byte(9) << 8 | (is_short ? 0 : byte(10) << 16 | byte(11) << 24);
  if (size > data.size() - begin) throw bad_file(path, "is cut off");
  const std::string text = data.substr(begin, size);
  if (value_of(text, "fortran_order", path).compare(0, 5, "False") != 0) {
    throw bad_file(path, "is in Fortran order; save a C-contiguous array");
  }
  const std::string descr = value_of(text, "descr", path), shape = value_of(text, "shape", path);
  const std::size_t end = descr.size() > 1 ? descr.find(descr[0], 1) : std::string::npos;
  if (end == std::string::npos || shape[0] != '(') throw bad_file(path, "holds records, not a plain array");
  Header header{descr.substr(1, end - 1), {}, begin + size};
  for (const char* at = shape.c_str() + 1; *at != ')' && *at != '\0';) {
    char* next = nullptr;
    const long long number = std::strtoll(at, &next, 10);
    if (next == at) throw bad_file(path, "has a shape that cannot be read");
    header.shape.push_back(number);
    at = next + std::strspn(next, ", ");
  }
  return header;
}

std::string encode_utf8(const std::u32string& points) {
  std::string out;
  for (const char32_t point : points) {
    const int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    if (more == 0) {
      out += static_cast<char>(point);
      continue;
    }
    out += static_cast<char>((0xFF00 >> (more + 1) & 0xFF) | (point >> (6 * more)));
    for (int left = more - 1; left >= 0; --left) out += static_cast<char>(0x80 | (point >> (6 * left) & 0x3F));
  }
  return out;
}

// Strings in numpy are UTF-32 of one width, filled up with zeros.
Tensor read_strings(const std::string& data, const Header& header, const std::string& path) {
  const std::size_t width = std::strtoul(header.descr.c_str() + 2, nullptr, 10);
  const auto count = element_count(header.shape.data(), header.shape.size());
  if (!count || header.descr.compare(0, 2, "<U") != 0) throw bad_file(path, "does not hold strings");
  if ((data.size() - header.data_begin) != *count * width * 4) throw bad_file(path, "has another size than its shape");
  std::vector<std::string> strings;
  for (std::uint64_t index = 0; index < *count; ++index) {
    std::u32string points(width, U'\0');
    std::memcpy(points.data(), data.data() + header.data_begin + index * width * 4, width * 4);
    while (!points.empty() && points.back() == 0) points.pop_back();
    strings.push_back(encode_utf8(points));
  }
  return make_strings(header.shape, std::move(strings));
}

std::string string_bytes(const Tensor& tensor, std::string& descr) {
  std::vector<std::u32string> all;
  std::size_t width = 1;
  for (const std::string& text : tensor.strings) {
    all.push_back(unicode::decode_utf8(text).value_or(U"\uFFFD"));
    width = std::max(width, all.back().size());
  }
  descr = "<U" + std::to_string(width);
  std::string bytes;
  for (std::u32string& points : all) {
    points.resize(width, U'\0');
    bytes.append(reinterpret_cast<const char*>(points.data()), width * 4);
  }
  return bytes;
}

// 4-bit elements have a byte each in files.
std::string unpack_bytes(const Tensor& tensor) {
  std::string bytes;
  for (std::uint64_t index = 0; index < tensor.count; ++index) {
    bytes += static_cast<char>(integer_at(tensor, index) & (tensor.dtype == Dtype::int4 ? 0xFF : 0x0F));
  }
  return bytes;
}

}  // namespace

std::string npy_name(const std::string& tensor) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string name;
  for (const char c : tensor) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                       c == '-' || (c == '.' && !name.empty());
    if (plain) {
      name += c;
    } else {
      name += '%';
      name += kDigits[static_cast<unsigned char>(c) >> 4];
      name += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return name + ".npy";
}

Tensor read_npy(const std::string& path, const TensorInfo& expected) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw usage_error("Cannot read " + path + ".",
                      "The input " + quoted(expected.name) + " is " + describe(expected) + ".");
  }
  const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const Header header = read_header(data, path);
  if (expected.dtype == Dtype::string) return read_strings(data, header, path);
  if (header.descr != descr_of(expected.dtype) && !is_raw(header.descr, expected.dtype)) {
    throw usage_error(path + " holds " + header.descr + "; the model takes " + describe(expected) + ".");
  }
  Tensor tensor = make_tensor(expected.dtype, header.shape);
  const std::size_t size = data.size() - header.data_begin;
  if (size != (is_four_bits(expected.dtype) ? tensor.count : tensor.size_bytes)) {
    throw bad_file(path, "has another size than its shape");
  }
  auto* bytes = static_cast<char*>(tensor.data);
  if (!is_four_bits(expected.dtype)) {
    std::memcpy(bytes, data.data() + header.data_begin, size);
    return tensor;
  }
  for (std::size_t index = 0; index < size; ++index) {
    bytes[index / 2] = static_cast<char>(bytes[index / 2] | (data[header.data_begin + index] & 15) << (index % 2 * 4));
  }
  return tensor;
}

void write_npy(const std::string& path, const Tensor& tensor) {
  std::string descr = descr_of(tensor.dtype), bytes;
  if (tensor.dtype == Dtype::string) {
    bytes = string_bytes(tensor, descr);
  } else if (is_four_bits(tensor.dtype)) {
    bytes = unpack_bytes(tensor);
  }
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
  for (const std::int64_t size : tensor.shape) header += std::to_string(size) + ",";
  header += "), }";
  header += std::string((kAlignment - (10 + header.size() + 1) % kAlignment) % kAlignment, ' ') + "\n";
  std::ofstream file(path, std::ios::binary);
  const char prefix[] = {'\x93',
                         'N',
                         'U',
                         'M',
                         'P',
                         'Y',
                         1,
                         0,
                         static_cast<char>(header.size() & 0xFF),
                         static_cast<char>(header.size() >> 8)};
  file.write(prefix, sizeof prefix);
  file << header;
  if (bytes.empty() && tensor.data != nullptr) {
    file.write(static_cast<const char*>(tensor.data), static_cast<std::streamsize>(tensor.size_bytes));
  } else {
    file << bytes;
  }
  if (!file.flush()) throw usage_error("Cannot write " + path + ".");
}

}  // namespace tl
