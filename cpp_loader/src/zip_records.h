// The ZIP records that a package uses, and where each member lies: a function of names and sizes alone.
//
// Source: APPNOTE.TXT 6.3.10 (PKWARE). A package uses one form of each record, so reading is: parse, lay out again,
// compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tl::zip {

constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocator64Size = 20;
constexpr std::uint32_t kLocalMagic = 0x04034b50, kCentralMagic = 0x02014b50, kEndMagic = 0x06054b50;
constexpr std::uint32_t kEnd64Magic = 0x06064b50, kLocator64Magic = 0x07064b50;
constexpr std::uint32_t kMax16 = 0xFFFF, kMax32 = 0xFFFFFFFF;
constexpr std::uint16_t kStored = 0, kTime = 0, kDate = 0x0021;
constexpr std::uint32_t kPermissions = 0100644u << 16;
constexpr std::uint16_t kZip64Id = 0x0001, kAlignmentId = 0xD935;

// One file inside the package. `offset` is where its content begins, `header_offset` its local header.
struct Member {
  std::string name;
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32 = 0;
  std::uint64_t offset = 0;
  std::uint64_t header_offset = 0;
};

// Little-endian numbers at `position`, which the caller has checked to lie inside.
std::uint16_t read16(std::string_view data, std::size_t position);
std::uint32_t read32(std::string_view data, std::size_t position);
std::uint64_t read64(std::string_view data, std::size_t position);

// The alignment in bytes of a member or tensor of this size: a page from 64 KiB on, else a cache line.
std::uint64_t alignment_of(std::uint64_t size_bytes);

// Where the content begins of a member whose local header stands at `position`, which lies inside the file.
std::uint64_t content_offset(std::uint64_t position, std::size_t name_bytes, std::uint64_t size_bytes);

// A member's local header, name and extra field: every byte from its header up to its content.
std::string encode_local(const Member& member);

// A member's entry in the central directory.
std::string encode_central(const Member& member);

// The records after the central directory, the 64-bit ones where a number does not fit into the plain one.
std::string encode_end(std::uint64_t count, std::uint64_t central_offset, std::uint64_t central_size);

}  // namespace tl::zip
