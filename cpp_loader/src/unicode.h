// The little of Unicode that names of members need: UTF-8, general categories, NFC, case folding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tl::unicode {

// The code points of strict UTF-8 (no surrogates, no overlong forms), or nothing where it is not that.
std::optional<std::u32string> decode_utf8(std::string_view text);

// Whether a code point is a control, format, surrogate, private or unassigned one (Cc, Cf, Cs, Co, Cn).
bool is_unprintable(char32_t point);

// Normalization form C (UAX #15).
std::u32string to_nfc(std::u32string_view text);

// Full case folding (CaseFolding.txt, C and F), then NFC: equal for names that differ in case only.
std::u32string fold_case(std::u32string_view text);

}  // namespace tl::unicode
