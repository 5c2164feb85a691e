// Folders of .npy files (numpy's format, versions 1 to 3), one for each tensor.
#pragma once

#include <string>
#include <vector>

#include "interface.h"
#include "tensor.h"

namespace tl {

// The file's name for a tensor: what is no letter, digit, '_', '-' or '.' is %XX, a leading dot too.
std::string npy_name(const std::string& tensor);

// Reads a tensor of the element type of `expected`. numpy has no word for bfloat16, float8 and 4-bit types: these come
// as raw bytes of their width. Throws Error (usage): there is no such file, or it holds something else.
Tensor read_npy(const std::string& path, const TensorInfo& expected);

// Throws Error (usage): the file cannot be written.
void write_npy(const std::string& path, const Tensor& tensor);

}  // namespace tl
