// A table of text, drawn as the Python command draws it.
#pragma once

#include <string>
#include <vector>

namespace tl {

using Row = std::vector<std::string>;

// Lines with box-drawing characters; every row has as many cells as the header.
std::string draw_table(const Row& header, const std::vector<Row>& rows);

// A number as Python's format does it: "%.3g".
std::string short_number(double value);

// A size for people: `14.2 MB`.
std::string size_text(unsigned long long size_bytes);

}  // namespace tl
