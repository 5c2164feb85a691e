// Which names a member of a package may have: the same file on every system, and never outside the package.
#pragma once

#include <string>
#include <vector>

#include "zip_records.h"

namespace tl {

// Refuses a name that is not a plain, relative, `/`-separated, NFC-normalized path (rule `name`).
void check_name(const std::string& name);

// Refuses names that are not sorted, not unique, also without case, or of which one is a folder of another (rules
// `sorted`, `unique-names`, `name-prefix`). Each has passed check_name.
void check_names(const std::vector<zip::Member>& members);

}  // namespace tl
