// UTF-8, categories, NFC and case folding, over the generated tables.
#include "unicode.h"

#include <algorithm>

#include "unicode_tables.h"

namespace tl::unicode {
namespace {

// Hangul syllables are composed by rule (The Unicode Standard, section 3.12).
constexpr char32_t kSBase = 0xAC00, kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7;
constexpr char32_t kLCount = 19, kVCount = 21, kTCount = 28, kSCount = kLCount * kVCount * kTCount;

template <typename Entry>
const Entry* find(const Entry* table, std::size_t count, char32_t point) {
  const Entry* end = table + count;
  const Entry* found =
      std::lower_bound(table, end, point, [](const Entry& entry, char32_t wanted) { return entry.point < wanted; });
  return found != end && found->point == point ? found : nullptr;
}

int combining_class(char32_t point) {
  const CombiningClass* found = find(kCombiningClasses, kCombiningClassCount, point);
  return found == nullptr ? 0 : found->value;
}

void expand(std::u32string& out, const Expansion& expansion, const std::uint32_t* pool) {
  for (std::size_t index = 0; index < expansion.length; ++index) {
    out += static_cast<char32_t>(pool[expansion.start + index]);
  }
}

std::u32string decompose(std::u32string_view text) {
  std::u32string out;
  for (const char32_t point : text) {
    if (point >= kSBase && point < kSBase + kSCount) {
      const char32_t index = point - kSBase;
      out += static_cast<char32_t>(kLBase + index / (kVCount * kTCount));
      out += static_cast<char32_t>(kVBase + index % (kVCount * kTCount) / kTCount);
      if (index % kTCount != 0) out += static_cast<char32_t>(kTBase + index % kTCount);
    } else if (const Expansion* found = find(kDecompositions, kDecompositionCount, point)) {
      expand(out, *found, kDecompositionPool);
    } else {
      out += point;
    }
  }
  return out;
}

// The canonical ordering algorithm: each run of combining marks sorted by class.
void order_marks(std::u32string& text) {
  auto begin = text.begin();
  while (begin != text.end()) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, text.end(), [](char32_t point) { return combining_class(point) == 0; });
    std::stable_sort(begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

// The code point that both make together, or 0.
char32_t compose_pair(char32_t first, char32_t second) {
  if (first >= kLBase && first < kLBase + kLCount && second >= kVBase && second < kVBase + kVCount) {
    return kSBase + ((first - kLBase) * kVCount + (second - kVBase)) * kTCount;
  }
  if (first >= kSBase && first < kSBase + kSCount && (first - kSBase) % kTCount == 0 && second > kTBase &&
      second < kTBase + kTCount) {
    return first + (second - kTBase);
  }
  const Composition* end = kCompositions + kCompositionCount;
  const Composition* found = std::lower_bound(kCompositions, end, 0, [&](const Composition& entry, int) {
    return entry.first < first || (entry.first == first && entry.second < second);
  });
  return found != end && found->first == first && found->second == second ? found->composed : 0;
}

}  // namespace

std::optional<std::u32string> decode_utf8(std::string_view text) {
  std::u32string out;
  for (std::size_t index = 0; index < text.size();) {
    const auto lead = static_cast<unsigned char>(text[index++]);
    const int more = lead < 0x80 ? 0 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if ((lead >= 0x80 && lead < 0xC2) || lead > 0xF4 || index + more > text.size()) return std::nullopt;
    char32_t point = more == 0 ? lead : lead & (0x3F >> more);
    for (int left = more; left > 0; --left) {
      const auto next = static_cast<unsigned char>(text[index++]);
      if ((next & 0xC0) != 0x80) return std::nullopt;
      point = point << 6 | (next & 0x3F);
    }
    const char32_t least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0;
    if (point < least || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return std::nullopt;
    out += point;
  }
  return out;
}

bool is_unprintable(char32_t point) {
  const Range* end = kUnprintable + kUnprintableCount;
  const Range* found = std::lower_bound(kUnprintable, end, point,
                                        [](const Range& range, char32_t wanted) { return range.last < wanted; });
  return found != end && found->first <= point;
}

std::u32string to_nfc(std::u32string_view text) {
  std::u32string points = decompose(text);
  order_marks(points);
  std::u32string out;
  std::size_t starter = std::u32string::npos;
  int previous_class = 0;
  for (const char32_t point : points) {
    const int own_class = combining_class(point);
    // A mark joins the last starter unless one of the same or a higher class, or another starter, stands between.
    const bool adjacent = starter != std::u32string::npos && starter + 1 == out.size();
    if (starter != std::u32string::npos && (adjacent || (previous_class < own_class && previous_class != 0))) {
      if (const char32_t composed = compose_pair(out[starter], point)) {
        out[starter] = composed;
        continue;
      }
    }
    if (own_class == 0) starter = out.size();
    previous_class = own_class;
    out += point;
  }
  return out;
}

std::u32string fold_case(std::u32string_view text) {
  std::u32string out;
  for (const char32_t point : text) {
    if (const Expansion* found = find(kFoldings, kFoldingCount, point)) {
      expand(out, *found, kFoldingPool);
    } else {
      out += point;
    }
  }
  return to_nfc(out);
}

}  // namespace tl::unicode
