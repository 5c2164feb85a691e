// Parsing and checking the archive's records; see zip_records.h for their one form.
#include "archive.h"

#include <libdeflate.h>

#include <algorithm>

#include "error.h"
#include "member_names.h"
#include "unicode.h"

namespace tl {
namespace {

using zip::kMax16;
using zip::kMax32;
using zip::Member;
using zip::read16;
using zip::read32;
using zip::read64;

constexpr std::uint64_t kMaxCentralBytes = 4 << 20;

// Entries, offset and size of the central directory, and where the end records begin.
struct End {
  std::uint64_t count, central_offset, central_size;
  std::size_t begin;
};

End read_end64(std::string_view data, std::size_t end) {
  const std::size_t records = zip::kLocator64Size + zip::kEnd64Size;
  if (end < records || read32(data, end - records) != zip::kEnd64Magic) {
    throw package_error("The ZIP64 end record is missing.", "", "end-record");
  }
  const std::size_t start = end - records;
  const End found{read64(data, start + 32), read64(data, start + 48), read64(data, start + 40), start};
  if (found.central_size > start || found.central_offset > start) {
    throw package_error("The ZIP64 end record points past itself.", "", "end-record");
  }
  return found;
}

End read_end(std::string_view data) {
  if (data.size() < zip::kEndSize || read32(data, data.size() - zip::kEndSize) != zip::kEndMagic) {
    throw package_error(
        "The file does not end with a ZIP end record: it is cut off, has bytes after its end, or is not a package.", "",
        "end-record");
  }
  const std::size_t start = data.size() - zip::kEndSize;
  const std::uint64_t disk = read16(data, start + 4), central_disk = read16(data, start + 6);
  std::uint64_t count_here = read16(data, start + 8);
  End end{read16(data, start + 10), read32(data, start + 16), read32(data, start + 12), start};
  if (read16(data, start + 20) != 0) throw package_error("The archive has a comment.", "", "no-comment");
  if (end.count == kMax16 || end.central_size == kMax32 || end.central_offset == kMax32) {
    end = read_end64(data, start);
    count_here = std::min<std::uint64_t>(end.count, kMax16);
  }
  if (disk != 0 || central_disk != 0 || count_here != std::min<std::uint64_t>(end.count, kMax16)) {
    throw package_error("The archive claims to span several disks.", "", "one-disk");
  }
  if (data.substr(end.begin) != zip::encode_end(end.count, end.central_offset, end.central_size)) {
    throw package_error("The end records are not in the one form that a package uses.", "", "end-record");
  }
  return end;
}

// The numbers of an entry's ZIP64 field, which there is exactly if `count` is not zero.
void read_zip64(std::string_view extra, Member& member, bool large_size, bool large_offset) {
  const std::size_t count = (large_size ? 2 : 0) + (large_offset ? 1 : 0);
  if (count == 0 && extra.empty()) return;
  if (count == 0 || extra.size() != 4 + 8 * count) {
    throw package_error("The entry's extra field is not the ZIP64 field that its sizes need.", member.name, "zip64");
  }
  if (read16(extra, 0) != zip::kZip64Id || read16(extra, 2) != 8 * count) {
    throw package_error("The entry's ZIP64 field is damaged.", member.name, "zip64");
  }
  if (large_size) member.size_bytes = read64(extra, 4);
  if (large_offset) member.header_offset = read64(extra, 4 + 8 * (count - 1));
}

Member read_entry(std::string_view entry, std::string name, std::string_view extra) {
  const std::uint32_t flags = read16(entry, 8);
  const std::uint32_t packed = read32(entry, 20), size = read32(entry, 24), offset = read32(entry, 42);
  const auto refuse_if = [&](bool broken, const char* rule, const char* what) {
    if (broken) throw package_error(what, name, rule);
  };
  refuse_if((flags & 0x2041) != 0, "no-encryption", "The member is encrypted.");
  refuse_if((flags & 0x0008) != 0, "no-data-descriptor", "The member has a data descriptor.");
  refuse_if(read16(entry, 10) != zip::kStored, "stored", "The member is compressed; a package stores.");
  refuse_if(packed != size, "sizes", "The member's two sizes differ though it is not compressed.");
  refuse_if(read16(entry, 12) != zip::kTime || read16(entry, 14) != zip::kDate, "timestamp",
            "The member has a time of its own.");
  refuse_if(read32(entry, 38) != zip::kPermissions, "permissions", "The member is not a regular file with mode 0644.");
  refuse_if(read16(entry, 32) != 0, "no-comment", "The member has a comment.");
  refuse_if(read16(entry, 34) != 0, "one-disk", "The member claims to lie on another disk.");
  Member member{std::move(name), size, read32(entry, 16), 0, offset};
  read_zip64(extra, member, size == kMax32, offset == kMax32);
  return member;
}

std::vector<Member> read_central(std::string_view data, std::uint64_t count) {
  std::vector<Member> members;
  std::size_t position = 0;
  for (std::uint64_t index = 0; index < count; ++index) {
    if (data.size() - position < zip::kCentralSize) {
      throw package_error("The central directory ends early.", "", "central-directory");
    }
    const std::string_view rest = data.substr(position);
    const std::size_t name_size = read16(rest, 28), extra_size = read16(rest, 30);
    const std::size_t size = zip::kCentralSize + name_size + extra_size + read16(rest, 32);
    if (read32(rest, 0) != zip::kCentralMagic || size > rest.size()) {
      throw package_error("The central directory is damaged.", "", "central-directory");
    }
    std::string name(rest.substr(zip::kCentralSize, name_size));
    if (!unicode::decode_utf8(name)) throw package_error("A member's name is not UTF-8.", "", "name");
    Member member = read_entry(rest, std::move(name), rest.substr(zip::kCentralSize + name_size, extra_size));
    if (zip::encode_central(member) != rest.substr(0, size)) {
      throw package_error("The central directory entry is not in the one form that a package uses.", member.name,
                          "canonical");
    }
    members.push_back(std::move(member));
    position += size;
  }
  if (position != data.size()) {
    throw package_error("The central directory has bytes after its entries.", "", "no-gaps");
  }
  return members;
}

// Puts each member where names and sizes say that it lies, and compares.
void check_places(std::string_view data, std::vector<Member>& members, std::uint64_t central_offset) {
  std::uint64_t position = 0;
  for (Member& member : members) {
    // `position` never passes central_offset, so nothing here can overflow.
    member.offset = zip::content_offset(position, member.name.size(), member.size_bytes);
    if (member.header_offset != position || member.offset > central_offset ||
        member.size_bytes > central_offset - member.offset) {
      throw package_error("The member does not lie where its place in the order and its alignment put it.", member.name,
                          "no-gaps");
    }
    const std::string_view header =
        data.substr(static_cast<std::size_t>(position), static_cast<std::size_t>(member.offset - position));
    if (header != zip::encode_local(member)) {
      throw package_error("Local header and central directory disagree.", member.name, "local-header");
    }
    position = member.offset + member.size_bytes;
  }
  if (position != central_offset) {
    throw package_error("There are bytes between the last member and the central directory.", "", "no-gaps");
  }
}

}  // namespace

std::vector<Member> read_members(std::string_view data) {
  const End end = read_end(data);
  if (end.central_size > kMaxCentralBytes || end.count > end.central_size / zip::kCentralSize) {
    throw package_error("The central directory's size and its number of entries disagree.", "", "central-directory");
  }
  if (end.central_offset + end.central_size != end.begin) {
    throw package_error("There are bytes that belong to nothing.", "", "no-gaps");
  }
  std::vector<Member> members = read_central(
      data.substr(static_cast<std::size_t>(end.central_offset), static_cast<std::size_t>(end.central_size)), end.count);
  for (const Member& member : members) check_name(member.name);
  check_names(members);
  check_places(data, members, end.central_offset);
  return members;
}

Archive::Archive(const std::string& path) : file_(path), members_(read_members(file_.bytes())) {}

const Member* Archive::find(const std::string& name) const {
  const auto found =
      std::lower_bound(members_.begin(), members_.end(), name,
                       [](const Member& member, const std::string& wanted) { return member.name < wanted; });
  return found != members_.end() && found->name == name ? &*found : nullptr;
}

std::string_view Archive::view(const std::string& name) const {
  const Member* member = find(name);
  if (member == nullptr) throw package_error("The package has no member " + quoted(name) + ".", name, "members");
  file_.check_length();
  return file_.bytes().substr(static_cast<std::size_t>(member->offset), static_cast<std::size_t>(member->size_bytes));
}

void Archive::check_crc32(const std::string& name) const {
  const std::string_view content = view(name);
  if (libdeflate_crc32(0, content.data(), content.size()) != find(name)->crc32) {
    throw package_error("The content does not match its CRC-32: the file is damaged.", name, "crc32");
  }
}

}  // namespace tl
