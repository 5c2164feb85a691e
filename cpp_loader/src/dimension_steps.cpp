// Reading steps of dimensions.
#include "dimension_steps.h"

#include <algorithm>

namespace tl {
namespace {

constexpr std::size_t kMaxDigits = 9;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Every letter beyond ASCII counts, as bytes of UTF-8.
bool is_word_letter(char c) {
  return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

// The words in a text, each once.
std::set<std::string> words_of(const std::string& text) {
  std::set<std::string> words;
  for (auto begin = text.begin(); begin != text.end();) {
    begin = std::find_if(begin, text.end(), is_word_letter);
    const auto end = std::find_if_not(begin, text.end(), is_word_letter);
    if (begin != end) words.emplace(begin, end);
    begin = end;
  }
  return words;
}

}  // namespace

std::map<std::string, std::int64_t> find_steps(const std::set<std::string>& dimensions) {
  std::map<std::string, int> uses;
  for (const std::string& dimension : dimensions) {
    for (const std::string& word : words_of(dimension)) ++uses[word];
  }
  std::map<std::string, std::int64_t> steps;
  for (const std::string& dimension : dimensions) {
    const std::size_t star = dimension.find('*');
    if (star == std::string::npos || star == 0 || star > kMaxDigits || dimension[0] == '0') continue;
    const std::string number = dimension.substr(0, star), word = dimension.substr(star + 1);
    if (!std::all_of(number.begin(), number.end(), is_digit)) continue;
    if (word.empty() || is_digit(word[0]) || !std::all_of(word.begin(), word.end(), is_word_letter)) continue;
    if (uses[word] == 1) steps[dimension] = std::stoll(number);
  }
  return steps;
}

}  // namespace tl
