// Encoding of the ZIP records that a package uses.
#include "zip_records.h"

#include <algorithm>

namespace tl::zip {
namespace {

constexpr std::uint16_t kUtf8Flag = 0x0800, kMadeByUnix = 3 << 8, kVersion = 20, kVersion64 = 45;
constexpr std::uint64_t kSmallAlignment = 64, kPageAlignment = 4096, kPageThreshold = 64 << 10;

template <typename Number>
Number read(std::string_view data, std::size_t position) {
  Number value = 0;
  for (std::size_t index = 0; index < sizeof(Number); ++index) {
    value = static_cast<Number>(value | static_cast<Number>(static_cast<unsigned char>(data[position + index]))
                                            << (8 * index));
  }
  return value;
}

template <typename Number>
void put(std::string& out, Number value) {
  for (std::size_t index = 0; index < sizeof(Number); ++index) out += static_cast<char>((value >> (8 * index)) & 0xFF);
}

void put16(std::string& out, std::uint64_t value) { put(out, static_cast<std::uint16_t>(value)); }
void put32(std::string& out, std::uint64_t value) { put(out, static_cast<std::uint32_t>(value)); }
void put64(std::string& out, std::uint64_t value) { put(out, value); }

std::uint16_t flags(std::string_view name) {
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return ascii ? 0 : kUtf8Flag;
}

}  // namespace

std::uint16_t read16(std::string_view data, std::size_t position) { return read<std::uint16_t>(data, position); }
std::uint32_t read32(std::string_view data, std::size_t position) { return read<std::uint32_t>(data, position); }
std::uint64_t read64(std::string_view data, std::size_t position) { return read<std::uint64_t>(data, position); }

std::uint64_t alignment_of(std::uint64_t size_bytes) {
  return size_bytes >= kPageThreshold ? kPageAlignment : kSmallAlignment;
}

std::uint64_t content_offset(std::uint64_t position, std::size_t name_bytes, std::uint64_t size_bytes) {
  const std::uint64_t fixed = kLocalSize + name_bytes + (size_bytes >= kMax32 ? 20 : 0) + 6;
  const std::uint64_t alignment = alignment_of(size_bytes);
  return (position + fixed + alignment - 1) / alignment * alignment;
}

std::string encode_local(const Member& member) {
  const bool large = member.size_bytes >= kMax32;
  const std::uint64_t size = large ? kMax32 : member.size_bytes;
  std::string extra;
  if (large) {
    put16(extra, kZip64Id);
    put16(extra, 16);
    put64(extra, member.size_bytes);
    put64(extra, member.size_bytes);
  }
  const std::uint64_t space = member.offset - member.header_offset - kLocalSize - member.name.size() - extra.size() - 4;
  put16(extra, kAlignmentId);
  put16(extra, space);
  put16(extra, alignment_of(member.size_bytes));
  extra.append(static_cast<std::size_t>(space) - 2, '\0');

  std::string out;
  put32(out, kLocalMagic);
  put16(out, large ? kVersion64 : kVersion);
  put16(out, flags(member.name));
  put16(out, kStored);
  put16(out, kTime);
  put16(out, kDate);
  put32(out, member.crc32);
  put32(out, size);
  put32(out, size);
  put16(out, member.name.size());
  put16(out, extra.size());
  return out + member.name + extra;
}

std::string encode_central(const Member& member) {
  std::string numbers;
  if (member.size_bytes >= kMax32) {
    put64(numbers, member.size_bytes);
    put64(numbers, member.size_bytes);
  }
  if (member.header_offset >= kMax32) put64(numbers, member.header_offset);
  std::string extra;
  if (!numbers.empty()) {
    put16(extra, kZip64Id);
    put16(extra, numbers.size());
    extra += numbers;
  }
  const std::uint16_t version = numbers.empty() ? kVersion : kVersion64;
  const std::uint64_t size = std::min<std::uint64_t>(member.size_bytes, kMax32);

  std::string out;
  put32(out, kCentralMagic);
  put16(out, kMadeByUnix | version);
  put16(out, version);
  put16(out, flags(member.name));
  put16(out, kStored);
  put16(out, kTime);
  put16(out, kDate);
  put32(out, member.crc32);
  put32(out, size);
  put32(out, size);
  put16(out, member.name.size());
  put16(out, extra.size());
  put16(out, 0);
  put16(out, 0);
  put16(out, 0);
  put32(out, kPermissions);
  put32(out, std::min<std::uint64_t>(member.header_offset, kMax32));
  return out + member.name + extra;
}

std::string encode_end(std::uint64_t count, std::uint64_t central_offset, std::uint64_t central_size) {
  std::string out;
  if (count >= kMax16 || central_offset >= kMax32 || central_size >= kMax32) {
    put32(out, kEnd64Magic);
    put64(out, kEnd64Size - 12);
    put16(out, kMadeByUnix | kVersion64);
    put16(out, kVersion64);
    put32(out, 0);
    put32(out, 0);
    put64(out, count);
    put64(out, count);
    put64(out, central_size);
    put64(out, central_offset);
    put32(out, kLocator64Magic);
    put32(out, 0);
    put64(out, central_offset + central_size);
    put32(out, 1);
  }
  put32(out, kEndMagic);
  put16(out, 0);
  put16(out, 0);
  put16(out, std::min<std::uint64_t>(count, kMax16));
  put16(out, std::min<std::uint64_t>(count, kMax16));
  put32(out, std::min<std::uint64_t>(central_size, kMax32));
  put32(out, std::min<std::uint64_t>(central_offset, kMax32));
  put16(out, 0);
  return out;
}

}  // namespace tl::zip
