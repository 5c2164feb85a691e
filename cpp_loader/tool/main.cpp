// transload-run: dispatch, help, and how errors become text and an exit status.
#include <cstdio>
#include <cstring>
#include <exception>

#include "commands.h"
#include "error.h"
#include "ort.h"
#include "version.h"

namespace {

constexpr char kHelp[] = R"(Usage: transload-run COMMAND PACKAGE [OPTION ...]

Commands:
  inspect  Show components, inputs, outputs, evidence and members.
  verify   Check digests, run the recorded inputs and compare with the recorded outputs.
  run      Run once: --inputs FOLDER --outputs FOLDER, folders of .npy files named after the tensors.
  bench    Measure: --calls N, --callers N (threads that call at once), --inputs FOLDER.

Options:
  --component NAME   which component (run, bench); needed where the package has several
  --device DEVICE    auto, cpu, cuda or cuda:N (verify, run, bench)
  --threads N        threads inside one call (verify, run, bench); 0 leaves the choice to ONNX Runtime
  --public-key FILE  verify: a PEM file with whose private key the package must be signed, every member of it
  --signature FILE   verify: the signature, where it is neither inside nor PACKAGE.sig
  --library FILE     a shared library of operators that the model needs; its code runs (verify, run, bench)

Files are named <tensor>.npy; in the name, what is not a letter, a digit, '_', '-' or '.' is %XX, as in URLs.

Exit status: 0 done; 1 outputs differ; 2 wrong usage; 3 an operator is not supported;
4 the package is damaged; 5 execution failed.

Example:
  transload-run verify tagger.tload
  transload-run run tagger.tload --inputs in --outputs out --device cpu
)";

void print_field(const char* label, const std::string& value) {
  if (!value.empty()) std::fprintf(stderr, "  %s: %s\n", label, value.c_str());
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    std::fputs(kHelp, words.empty() ? stderr : stdout);
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version") {
    std::printf("transload-run %s, ONNX Runtime %s\n", TRANSLOAD_VERSION, tl::ort::version().c_str());
    return 0;
  }
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  for (const std::string& word : rest) {
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
  }
  if (words[0] == "inspect") return tl::inspect_command(rest);
  if (words[0] == "verify") return tl::verify_command(rest);
  if (words[0] == "run") return tl::run_command(rest);
  if (words[0] == "bench") return tl::bench_command(rest);
  throw tl::usage_error("Unknown command " + tl::quoted(words[0]) + ".", "See transload-run --help.");
}

}  // namespace

int main(int count, char** words) {
  try {
    return dispatch(std::vector<std::string>(words + 1, words + count));
  } catch (const tl::Error& error) {
    std::fprintf(stderr, "transload-run: %s\n", error.text.c_str());
    print_field("where", error.where);
    print_field("member", error.member);
    print_field("rule", error.rule);
    print_field("next", error.hint);
    return static_cast<int>(error.status);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "transload-run: Unexpected: %s\n", error.what());
    return static_cast<int>(tl::Status::execution);
  }
}
