// Dimensions whose size is the sum of others: a mask over past and present has `past_length+sequence` columns.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace tl {

// The size of a dimension that is a sum of numbers and of names whose sizes are known; nothing where it is no sum, or
// has a name of which `size_of` knows nothing: then it is a name like any other.
std::optional<std::int64_t> sum_of(const std::string& dimension,
                                   const std::function<std::optional<std::int64_t>(const std::string&)>& size_of);

}  // namespace tl
