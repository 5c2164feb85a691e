// Dimensions that vary in steps: an image whose sides strides must divide has `32*height` rows, any multiple of 32.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace tl {

// The step of each dimension of the form `32*height`. Only where the word behind the star stands in no other of
// `dimensions`: what has one in common with another is a name like any other.
std::map<std::string, std::int64_t> find_steps(const std::set<std::string>& dimensions);

}  // namespace tl
