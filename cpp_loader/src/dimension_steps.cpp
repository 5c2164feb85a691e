// Reading steps of dimensions.
#include "dimension_steps.h"

#include <algorithm>

namespace tl {
namespace {

constexpr std::size_t kMaxDigits = 9;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Every letter beyond ASCII counts, as bytes of UTF-8.
bool is_word(char c) {
  return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

// Whether a word stands in a text with no letter before or behind it.
bool has_word(const std::string& text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
  }
  return false;
}

}  // namespace

std::int64_t step_of(const std::string& dimension, const std::set<std::string>& dimensions) {
  const std::size_t star = dimension.find('*');
  if (star == std::string::npos || star == 0 || star > kMaxDigits || dimension[0] == '0') return 1;
  const std::string number = dimension.substr(0, star), word = dimension.substr(star + 1);
  if (!std::all_of(number.begin(), number.end(), is_digit)) return 1;
  if (word.empty() || is_digit(word[0]) || !std::all_of(word.begin(), word.end(), is_word)) return 1;
  const auto shares_word = [&](const std::string& other) { return other != dimension && has_word(other, word); };
  return std::any_of(dimensions.begin(), dimensions.end(), shares_word) ? 1 : std::stoll(number);
}

}  // namespace tl
