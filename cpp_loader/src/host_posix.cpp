// The host on a POSIX system; what only Linux has is left out elsewhere.
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "host.h"

namespace tl::host {
namespace {

constexpr std::size_t kMaxCpuInfo = 1 << 18;
constexpr std::size_t kMaxCpus = 1 << 20;

// The file's text up to the first empty line, which ends the description of the first processor.
std::string read_first_block(const char* path) {
  std::string text;
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  std::array<char, 4096> buffer{};
  while (text.size() < kMaxCpuInfo && text.find("\n\n") == std::string::npos) {
    const ssize_t count = ::read(file, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  ::close(file);
  return text.substr(0, text.find("\n\n"));
}

std::string strip(const std::string& text) {
  constexpr char kSpace[] = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::map<std::string, std::string> read_fields(const std::string& text) {
  std::map<std::string, std::string> fields;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) break;
    fields[strip(line.substr(0, colon))] = strip(line.substr(colon + 1));
    begin = end + 1;
  }
  return fields;
}

std::string sort_words(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = text.find_first_not_of(' '); begin != std::string::npos;) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(' ', end);
  }
  std::sort(words.begin(), words.end());
  std::string sorted;
  for (const std::string& word : words) sorted += (sorted.empty() ? "" : " ") + word;
  return sorted;
}

std::string home_folder() {
  if (const char* home = std::getenv("HOME")) return home;
  std::vector<char> buffer(1 << 14);
  struct passwd entry {};
  struct passwd* found = nullptr;
  const bool failed = ::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0;
  return failed || found == nullptr ? "" : found->pw_dir;
}

}  // namespace

std::string describe_cpu() {
  std::map<std::string, std::string> fields = read_fields(read_first_block("/proc/cpuinfo"));
  if (fields.count("flags") == 0) return "";
  fields["flags"] = sort_words(fields["flags"]);
  std::string text;
  for (const char* name : {"vendor_id", "cpu family", "model", "stepping", "flags"}) {
    text += (text.empty() ? "" : "\n") + std::string(name) + ": " + fields[name];
  }
  return text;
}

std::string machine_name() {
  struct utsname names {};
  return ::uname(&names) == 0 ? names.machine : "";
}

int count_cpus() {
#if defined(__linux__)
  for (std::size_t most = 1024; most <= kMaxCpus; most *= 2) {
    // A set of the C library's own size is too small for the largest machines.
    std::vector<unsigned long> bits(most / (8 * sizeof(unsigned long)));
    auto* set = reinterpret_cast<cpu_set_t*>(bits.data());
    const std::size_t size = bits.size() * sizeof(unsigned long);
    if (::sched_getaffinity(0, size, set) == 0) return CPU_COUNT_S(size, set);
    if (errno != EINVAL) break;
  }
#endif
  return static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

std::string cache_folder() {
  // XDG Base Directory Specification 0.8: relative paths must be ignored.
  const char* chosen = std::getenv("XDG_CACHE_HOME");
  if (chosen != nullptr && chosen[0] == '/') return chosen;
  const std::string home = home_folder();
  return home.empty() ? "" : home + "/.cache";
}

bool is_own_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid() && (status.st_mode & 022U) == 0;
}

std::string find_file(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> found(::realpath(path.c_str(), nullptr), &std::free);
  struct stat status {};
  return found && ::stat(found.get(), &status) == 0 && S_ISREG(status.st_mode) ? found.get() : "";
}

void return_free_memory() {
#if defined(__GLIBC__)
  // Blocks of up to 32 MiB stay in its heap after the first one.
  ::malloc_trim(0);
#endif
}

}  // namespace tl::host
