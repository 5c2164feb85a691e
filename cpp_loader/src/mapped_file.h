// A whole file mapped read-only. This and host.h have the calls of the operating system; another one needs another .cpp
// of both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

struct stat;

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

  // Reading a page past the end of a file that was cut short would end the program.
  // Throws Error (rule `changed`): it was.
  void check_length() const;

  // Whoever opens the path anew, as ONNX Runtime does, reads what lies there then.
  // Throws Error (rule `changed`): the file was replaced, written to, cut short or removed.
  void check_unchanged() const;

  const std::string& path() const { return path_; }  // absolute, links resolved
  std::string folder() const;                        // of the file
  std::string file_name() const;                     // without its folder

 private:
  // Which file it is, and when it was last written.
  struct FileState {
    std::uint64_t device = 0, inode = 0, size_bytes = 0;
    std::int64_t modified_s = 0, modified_ns = 0;
    bool operator==(const FileState& other) const;
  };

  static FileState state_of(const struct stat& status);
  void map(const struct stat& status);
  void close() noexcept;

  std::string path_;
  FileState state_;
  int file_ = -1;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tl
