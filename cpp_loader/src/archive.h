// Reading the ZIP file of a package: every rule is one `if` with one error, and nothing is trusted before it passed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mapped_file.h"
#include "zip_records.h"

namespace tl {

// A mapped archive whose structure was checked; no content of a member was read. Views point into the mapping.
class Archive {
 public:
  // Throws Error: the file cannot be read (usage) or breaks a rule of docs/format.md (package).
  explicit Archive(const std::string& path);

  const MappedFile& file() const { return file_; }
  const std::vector<zip::Member>& members() const { return members_; }  // in the file's order, sorted by name

  // The member of this name, or null.
  const zip::Member* find(const std::string& name) const;

  // The content of a member, not checked against its CRC-32. Throws Error: there is no such member.
  std::string_view view(const std::string& name) const;

  // Throws Error: the content does not match its CRC-32.
  void check_crc32(const std::string& name) const;

 private:
  MappedFile file_;
  std::vector<zip::Member> members_;
};

// The members of an archive. Throws Error: it breaks a rule. Apart from the class, so that a fuzzer can reach it.
std::vector<zip::Member> read_members(std::string_view data);

}  // namespace tl
