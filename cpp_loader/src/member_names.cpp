// Checks of members' names.
#include "member_names.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "error.h"
#include "unicode.h"

namespace tl {
namespace {

constexpr std::size_t kMaxNameBytes = 1024, kMaxParts = 64, kMaxPartBytes = 255;

bool is_bad_part(std::string_view part) {
  return part.empty() || part == "." || part == ".." || part.front() == ' ' || part.back() == ' ' || part.back() == '.';
}

// Whether Windows takes a part for a device, in any folder and with any suffix.
bool is_device(std::string_view part) {
  std::string stem(part.substr(0, part.find('.')));
  for (char& c : stem) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (stem == "CON" || stem == "PRN" || stem == "AUX" || stem == "NUL") return true;
  const std::string kind = stem.substr(0, 3), number = stem.size() > 3 ? stem.substr(3) : "";
  if (kind != "COM" && kind != "LPT") return false;
  return (number.size() == 1 && number[0] >= '0' && number[0] <= '9') || number == "¹" || number == "²" ||
         number == "³";
}

// What is wrong with a name, or an empty text.
std::string problem(const std::string& name) {
  if (name.empty() || name.size() > kMaxNameBytes) return "is empty or longer than 1024 bytes";
  if (name.find_first_of("\\:*?\"<>|") != std::string::npos) {
    return "holds a character that is not a plain name's on every system";
  }
  const auto points = unicode::decode_utf8(name);
  if (!points) return "is not UTF-8";
  if (std::any_of(points->begin(), points->end(), unicode::is_unprintable)) {
    return "holds a control, format or unassigned character";
  }
  if (unicode::to_nfc(*points) != *points) return "is not normalized (NFC)";
  if (static_cast<std::size_t>(std::count(name.begin(), name.end(), '/')) >= kMaxParts) return "has more than 64 parts";
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = std::string_view(name).substr(begin, end - begin);
    if (is_bad_part(part)) {
      return "is not relative, or has a part that is empty, '.', '..', begins or ends with a space, or ends with a dot";
    }
    if (part.size() > kMaxPartBytes) return "has a part longer than 255 bytes";
    if (is_device(part)) return "has a part that is a device on Windows";
    begin = end + 1;
  }
  return "";
}

}  // namespace

void check_name(const std::string& name) {
  const std::string found = problem(name);
  if (!found.empty()) throw package_error("The member name " + quoted(name) + " " + found + ".", name, "name");
}

void check_names(const std::vector<zip::Member>& members) {
  // Ordered, here and elsewhere: a stranger could choose names of one hash.
  std::map<std::u32string, const std::string*> folded;
  const std::string* previous = nullptr;
  for (const zip::Member& member : members) {
    // std::string compares as unsigned bytes, which is the order that is asked for.
    if (previous != nullptr && member.name == *previous) {
      throw package_error("A member stands twice.", member.name, "unique-names");
    }
    if (previous != nullptr && member.name < *previous) {
      throw package_error("Members are not sorted by name.", member.name, "sorted");
    }
    previous = &member.name;
    const auto twin = folded.emplace(unicode::fold_case(*unicode::decode_utf8(member.name)), &member.name);
    if (!twin.second) {
      throw package_error(
          "The names " + quoted(*twin.first->second) + " and " + quoted(member.name) + " differ in case only.",
          member.name, "unique-names");
    }
  }
  for (const auto& [key, name] : folded) {
    for (auto slash = key.find(U'/'); slash != std::u32string::npos; slash = key.find(U'/', slash + 1)) {
      const auto file = folded.find(key.substr(0, slash));
      if (file != folded.end()) {
        throw package_error(quoted(*file->second) + " is a file and a folder.", *name, "name-prefix");
      }
    }
  }
}

}  // namespace tl
