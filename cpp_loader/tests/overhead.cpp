// What a bound call adds to ONNX Runtime's own C API: time (median) and allocations, for one package.
//
// overhead PACKAGE MODEL.onnx [CALLS]    prints, for each way, nanoseconds and calls of operator new for one call
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <transload/transload.hpp>

namespace {
std::atomic<long> allocations{0};
}

// Counts for everything in the process, ONNX Runtime included.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double, std::nano>(end - begin).count();
}

struct Figures {
  std::vector<double> times;
  long allocated = 0;
};

template <typename Call>
void measure(Figures& figures, Call call) {
  const long before = allocations;
  const Clock::time_point begin = Clock::now();
  call();
  const Clock::time_point end = Clock::now();
  figures.allocated += allocations - before;
  figures.times.push_back(nanoseconds(begin, end));
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// The same model by ONNX Runtime alone: the plain .onnx beside the package.
class Raw {
 public:
  Raw(const std::string& model, float* x, float* y) {
    check(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "raw", &env_));
    check(api_->CreateSessionOptions(&options_));
    check(api_->SetIntraOpNumThreads(options_, 1));
    check(api_->CreateSession(env_, model.c_str(), options_, &session_));
    check(api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &info_));
    const std::int64_t shape[] = {1, 3};
    for (const auto& [memory, value] : {std::pair(x, &x_), std::pair(y, &y_)}) {
      check(api_->CreateTensorWithDataAsOrtValue(info_, memory, 12, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                                 value));
    }
  }

  ~Raw() {
    api_->ReleaseValue(x_);
    api_->ReleaseValue(y_);
    api_->ReleaseMemoryInfo(info_);
    api_->ReleaseSession(session_);
    api_->ReleaseSessionOptions(options_);
    api_->ReleaseEnv(env_);
  }

  void run() {
    const char* inputs[] = {"x"};
    const char* outputs[] = {"y"};
    const OrtValue* given[] = {x_};
    check(api_->Run(session_, nullptr, inputs, given, 1, outputs, 1, &y_));
  }

 private:
  void check(OrtStatus* status) {
    if (status == nullptr) return;
    std::fprintf(stderr, "%s\n", api_->GetErrorMessage(status));
    std::exit(1);
  }

  const OrtApi* api_ = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  OrtEnv* env_ = nullptr;
  OrtSessionOptions* options_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtMemoryInfo* info_ = nullptr;
  OrtValue *x_ = nullptr, *y_ = nullptr;
};

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr,
                 "overhead PACKAGE MODEL.onnx [CALLS]: the package `double` of the tests, and its plain model\n");
    return 2;
  }
  const long calls = count > 3 ? std::atol(words[3]) : 100000;
  float x[3] = {1, 2, 3}, y[3] = {}, raw_y[3] = {};
  transload::Options options;
  options.threads = 1;
  options.tuned = false;
  auto binding = transload::Model::open(words[1], options).bind();
  binding.input("x", transload::Tensor::over(x, 3, {1, 3})).output("y", transload::Tensor::over(y, 3, {1, 3}));
  Raw raw(words[2], x, raw_y);
  Figures ours, theirs;
  ours.times.reserve(static_cast<std::size_t>(calls));
  theirs.times.reserve(static_cast<std::size_t>(calls));
  for (long call = 0; call < 1000; ++call) binding.run(), raw.run();
  // Turn by turn, so that both meet the same disturbances.
  for (long call = 0; call < calls; ++call) {
    measure(ours, [&] { binding.run(); });
    measure(theirs, [&] { raw.run(); });
  }
  const double own = median(ours.times), bare = median(theirs.times);
  std::printf("transload_ns %.0f\nraw_ns %.0f\nadded_ns %.0f\n", own, bare, own - bare);
  std::printf("transload_allocations %.3f\nraw_allocations %.3f\n",
              static_cast<double>(ours.allocated) / static_cast<double>(calls),
              static_cast<double>(theirs.allocated) / static_cast<double>(calls));
  return y[2] == 6 && raw_y[2] == 6 ? 0 : 1;
}
