// Mapping a file on a POSIX system.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "error.h"
#include "mapped_file.h"

namespace tl {
namespace {

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) throw usage_error("Cannot read " + path + ": " + std::strerror(errno) + ".");
  return resolved.get();
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(real_path(path)) {
  // A pipe would block until somebody writes into it.
  file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status {};
  if (file_ < 0 || ::fstat(file_, &status) != 0) {
    const int error = errno;
    close();
    throw usage_error("Cannot read " + path_ + ": " + std::strerror(error) + ".");
  }
  try {
    map(status);
  } catch (...) {
    close();
    throw;
  }
}

void MappedFile::map(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) throw usage_error(path_ + " is a folder, not a package.");
  if (!S_ISREG(status.st_mode)) throw package_error(path_ + " is not a regular file.", "", "regular-file");
  if (status.st_size == 0) throw package_error(path_ + " is empty.", "", "end-record");
  if (static_cast<std::uintmax_t>(status.st_size) > SIZE_MAX) {
    throw usage_error(path_ + " is larger than this system's address space.");
  }
  state_ = state_of(status);
  size_ = static_cast<std::size_t>(status.st_size);
  void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_, 0);
  if (mapping == MAP_FAILED) throw usage_error("Cannot map " + path_ + ": " + std::strerror(errno) + ".");
  data_ = static_cast<const char*>(mapping);
}

MappedFile::FileState MappedFile::state_of(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
          static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

bool MappedFile::FileState::operator==(const FileState& other) const {
  return device == other.device && inode == other.inode && size_bytes == other.size_bytes &&
         modified_s == other.modified_s && modified_ns == other.modified_ns;
}

void MappedFile::check_length() const {
  struct stat status {};
  if (::fstat(file_, &status) != 0 || static_cast<std::uint64_t>(status.st_size) < size_) {
    throw package_error(path_ + " was cut short after it was opened.", "", "changed");
  }
}

void MappedFile::check_unchanged() const {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0 || !(state_of(status) == state_)) {
    throw package_error(path_ + " changed after it was opened.", "", "changed", "Open the package again.");
  }
}

void MappedFile::close() noexcept {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
  if (file_ >= 0) ::close(file_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      state_(other.state_),
      file_(std::exchange(other.file_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(state_, other.state_);
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() { close(); }

std::string MappedFile::folder() const {
  const auto slash = path_.rfind('/');
  return slash == 0 ? "/" : path_.substr(0, slash);
}

std::string MappedFile::file_name() const { return path_.substr(path_.rfind('/') + 1); }

}  // namespace tl
