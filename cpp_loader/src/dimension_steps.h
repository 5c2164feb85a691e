// Dimensions that vary in steps: an image whose sides strides must divide has `32*height` rows, any multiple of 32.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace tl {

// The step of a dimension of the form `32*height`; 1 where it has another form, or where the word behind the star
// stands in another of `dimensions` too: then it is a name like any other.
std::int64_t step_of(const std::string& dimension, const std::set<std::string>& dimensions);

}  // namespace tl
