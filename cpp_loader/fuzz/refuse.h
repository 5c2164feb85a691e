// What a fuzz target does with a parser: it may refuse its input by tl::Error, and nothing else may leave it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "error.h"

template <typename Parse>
int try_parse(const std::uint8_t* data, std::size_t size, Parse parse) {
  try {
    parse(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const tl::Error&) {
  }
  return 0;
}
