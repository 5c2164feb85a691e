// A whole file mapped read-only. The one place with calls of the operating system; another system needs another .cpp.
#pragma once

#include <string>
#include <string_view>

namespace tl {

// Owns the mapping; `bytes` points into it and is valid as long as the object. Move-only.
class MappedFile {
 public:
  // Symbolic links are resolved first: ONNX Runtime refuses external data behind them.
  // Throws Error: there is no such file, it cannot be read, is empty or not a regular file.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::string_view bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }  // absolute, links resolved
  std::string folder() const;                        // of the file
  std::string file_name() const;                     // without its folder

 private:
  std::string path_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tl
