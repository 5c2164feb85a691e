// Reading sums of dimensions.
#include "dimension_sums.h"

#include <algorithm>

namespace tl {
namespace {

constexpr std::size_t kMaxDigits = 18;  // what a sum of a few still holds in 64 bits

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Letters of every language count, as bytes of UTF-8.
bool is_name(const std::string& term) {
  const auto is_word = [](char c) {
    return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
  };
  return !term.empty() && !is_digit(term[0]) && (term[0] & 0x80) == 0 && std::all_of(term.begin(), term.end(), is_word);
}

std::string trim(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

}  // namespace

std::optional<std::int64_t> sum_of(const std::string& dimension,
                                   const std::function<std::optional<std::int64_t>(const std::string&)>& size_of) {
  if (dimension.find('+') == std::string::npos) return std::nullopt;
  std::int64_t sum = 0;
  for (std::size_t begin = 0; begin <= dimension.size();) {
    const std::size_t end = std::min(dimension.find('+', begin), dimension.size());
    const std::string term = trim(dimension.substr(begin, end - begin));
    std::optional<std::int64_t> size;
    if (!term.empty() && term.size() <= kMaxDigits && std::all_of(term.begin(), term.end(), is_digit)) {
      size = std::stoll(term);
    } else if (is_name(term)) {
      size = size_of(term);
    }
    if (!size) return std::nullopt;
    sum += *size;
    begin = end + 1;
  }
  return sum;
}

}  // namespace tl
