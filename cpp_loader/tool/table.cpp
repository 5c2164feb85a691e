// Drawing tables.
#include "table.h"

#include <algorithm>
#include <cstdio>

namespace tl {
namespace {

// Columns on a terminal, taking every code point for one.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string rule(const std::vector<std::size_t>& widths, const char* left, const char* line, const char* cross,
                 const char* right) {
  std::string text = left;
  for (std::size_t index = 0; index < widths.size(); ++index) {
    if (index != 0) text += cross;
    for (std::size_t column = 0; column < widths[index] + 2; ++column) text += line;
  }
  return text + right + "\n";
}

std::string cells(const std::vector<std::size_t>& widths, const Row& row, const char* bar) {
  std::string text;
  for (std::size_t index = 0; index < widths.size(); ++index) {
    text += std::string(bar) + " " + row[index] + std::string(widths[index] - width_of(row[index]), ' ') + " ";
  }
  return text + bar + "\n";
}

}  // namespace

std::string draw_table(const Row& header, const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t index = 0; index < header.size(); ++index) {
    std::size_t width = width_of(header[index]);
    for (const Row& row : rows) width = std::max(width, width_of(row[index]));
    widths.push_back(width);
  }
  std::string text = rule(widths, "┏", "━", "┳", "┓") + cells(widths, header, "┃") + rule(widths, "┡", "━", "╇", "┩");
  for (const Row& row : rows) text += cells(widths, row, "│");
  return text + rule(widths, "└", "─", "┴", "┘");
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string size_text(unsigned long long size_bytes) {
  auto size = static_cast<double>(size_bytes);
  const char* unit = "B";
  for (const char* larger : {"kB", "MB", "GB"}) {
    if (size < 1000) break;
    size /= 1000;
    unit = larger;
  }
  char text[48];
  std::snprintf(text, sizeof text, unit[0] == 'B' ? "%.0f %s" : "%.1f %s", size, unit);
  return text;
}

}  // namespace tl
