// What is known of the machine, the process and its user. Calls of the operating system, as in mapped_file.h.
#pragma once

#include <string>

namespace tl::host {

// The first processor's fields of /proc/cpuinfo that decide which kernels ONNX Runtime takes, one `field: value` line
// each, flags sorted; "" where the system does not tell.
std::string describe_cpu();

// The processor's architecture, as `uname -m` says.
std::string machine_name();

// How many processors this process may use.
int count_cpus();

// Where this user's caches lie: $XDG_CACHE_HOME, or ~/.cache where that is not set or not absolute; "" where there is
// no such folder.
std::string cache_folder();

// Whether the file is this user's and nobody else may write it.
bool is_own_file(const std::string& path);

// A regular file's path, absolute and without symbolic links; "" where there is no such file.
std::string find_file(const std::string& path);

// Gives memory that was freed, but that the allocator keeps for later, back to the system, where it can.
void return_free_memory();

}  // namespace tl::host
