// What opening a model and its first call take: one process, one model, by this loader or by ONNX Runtime's C++ API.
//
// opening transload|onnxruntime MODEL ROWS THREADS off|on|tuned    MODEL is a package or a .onnx with an input x and an
// output y, both float32[ROWS, N]; THREADS are those inside a call; the last word is ONNX Runtime's pre-packing, or
// `tuned` for the variant of the user's cache, where it lies ready
//
// Prints one line of JSON, as convert/peers/worker.py does, and then holds the model until its input ends.
#include <onnxruntime_cxx_api.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <transload/transload.hpp>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// A field of one of the files in /proc/self, in bytes.
long long read_field(const char* path, const char* field) {
  std::FILE* file = std::fopen(path, "r");
  char line[256];
  long long found = 0;
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, field, std::strlen(field)) == 0) found = 1024 * std::atoll(line + std::strlen(field));
  }
  if (file != nullptr) std::fclose(file);
  return found;
}

// What a process wrote is its own; what it maps and only reads is not.
long long private_bytes() { return read_field("/proc/self/smaps_rollup", "Anonymous:"); }

struct Request {
  const char* path;
  std::int64_t rows;
  int threads;
  std::string prepack;
};

// A model that is open: `width` of its input, and one call on it. Each owns what it needs.
struct Opened {
  std::int64_t width;
  std::function<std::vector<float>(std::vector<float>&)> run;
};

Opened open_package(const Request& request) {
  transload::Options options;
  options.threads = request.threads;
  options.prepack = request.prepack != "off";
  options.tuned = request.prepack == "tuned";
  const auto model = std::make_shared<transload::Model>(transload::Model::open(request.path, options));
  if (options.tuned && model->variant() != "tuned") throw std::runtime_error("There is no tuned variant.");
  const std::int64_t width = model->inputs().at(0).shape.at(1);
  return {width, [=](std::vector<float>& x) {
            const auto tensor = transload::Tensor::over(x, {request.rows, width});
            return model->run({{"x", tensor}})["y"].to_vector<float>();
          }};
}

Opened open_onnx(const Request& request) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(request.threads);
  if (request.prepack == "off") options.AddConfigEntry("session.disable_prepacking", "1");
  const auto env = std::make_shared<Ort::Env>(ORT_LOGGING_LEVEL_FATAL, "opening");
  const auto session = std::make_shared<Ort::Session>(*env, request.path, options);
  const std::int64_t width = session->GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape().at(1);
  return {width, [=](std::vector<float>& x) {
            (void)env;  // the session's, which must live as long
            const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
            const std::int64_t shape[] = {request.rows, width};
            const auto tensor = Ort::Value::CreateTensor<float>(memory, x.data(), x.size(), shape, 2);
            const char *input = "x", *output = "y";
            const auto found = session->Run(Ort::RunOptions(nullptr), &input, &tensor, 1, &output, 1);
            const float* y = found.at(0).GetTensorData<float>();
            return std::vector<float>(y, y + x.size());
          }};
}

int measure(const Request& request, Opened (*open)(const Request&)) {
  const long long before = private_bytes();
  const Clock::time_point begin = Clock::now();
  const Opened opened = open(request);
  const double load = seconds_since(begin);
  std::vector<float> x(static_cast<std::size_t>(request.rows * opened.width));
  for (std::size_t index = 0; index < x.size(); ++index) x[index] = std::sin(static_cast<float>(index));
  const std::vector<float> y = opened.run(x);
  const double first_output = seconds_since(begin);
  double sum = 0;
  for (const float value : y) sum += std::abs(value);
  std::printf(
      "{\"load_s\": %.6f, \"first_output_s\": %.6f, \"private_bytes\": %lld, \"peak_bytes\": %lld, \"sum\": %.9g}\n",
      load, first_output, private_bytes() - before, read_field("/proc/self/status", "VmHWM:"), sum);
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const bool is_package = count == 6 && std::strcmp(words[1], "transload") == 0;
  if (count != 6 || (!is_package && std::strcmp(words[1], "onnxruntime") != 0)) {
    std::fprintf(stderr, "opening transload|onnxruntime MODEL ROWS THREADS off|on|tuned\n");
    return 2;
  }
  try {
    const Request request{words[2], std::atoll(words[3]), std::atoi(words[4]), words[5]};
    return measure(request, is_package ? open_package : open_onnx);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
