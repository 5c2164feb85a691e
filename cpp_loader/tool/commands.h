// The commands of transload-run. Each prints its result on stdout and returns an exit status, or throws Error.
#pragma once

#include <string>
#include <vector>

namespace tl {

int inspect_command(const std::vector<std::string>& words);
int verify_command(const std::vector<std::string>& words);
int run_command(const std::vector<std::string>& words);
int bench_command(const std::vector<std::string>& words);

}  // namespace tl
