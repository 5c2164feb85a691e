// Reads names, one a line, and prints for each whether it is allowed (1 or 0), then a space, then its folded form.
#include <iostream>
#include <string>

#include "error.h"
#include "member_names.h"
#include "unicode.h"

int main() {
  for (std::string name; std::getline(std::cin, name);) {
    bool allowed = true;
    try {
      tl::check_name(name);
    } catch (const tl::Error&) {
      allowed = false;
    }
    std::cout << allowed << ' ';
    for (const char32_t point : tl::unicode::fold_case(tl::unicode::decode_utf8(name).value_or(U""))) {
      std::cout << std::hex << static_cast<unsigned long>(point) << ',';
    }
    std::cout << '\n';
  }
}
