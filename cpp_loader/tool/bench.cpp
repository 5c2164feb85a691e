// `transload-run bench`: how long a package takes to load and to run here.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <numeric>
#include <thread>
#include <utility>

#include "arguments.h"
#include "commands.h"
#include "error.h"
#include "model.h"
#include "run_inputs.h"

namespace tl {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

VectorSet first_recorded(const Package& package, const std::string& component) {
  std::vector<VectorSet> sets = package.vectors(component);
  if (sets.empty()) throw usage_error("The component has no recorded inputs.", "Give --inputs FOLDER.");
  return std::move(sets.front());
}

std::vector<double> measure(const Model& model, const std::vector<Feed>& feed, long calls) {
  const std::vector<std::size_t> outputs = all_outputs(model);
  std::vector<double> latencies;
  for (long call = 0; call < calls; ++call) {
    const Clock::time_point begin = Clock::now();
    model.run(feed, outputs);
    latencies.push_back(milliseconds_since(begin));
  }
  return latencies;
}

// All callers' latencies, sorted.
std::vector<double> measure_together(const Model& model, const std::vector<Feed>& feed, long calls, long callers) {
  std::vector<std::vector<double>> found(static_cast<std::size_t>(callers));
  std::vector<std::exception_ptr> failures(found.size());
  std::vector<std::thread> threads;
  for (std::size_t index = 0; index < found.size(); ++index) {
    threads.emplace_back([&, index] {
      try {
        found[index] = measure(model, feed, calls);
      } catch (...) {
        failures[index] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  std::vector<double> all;
  for (const std::vector<double>& each : found) all.insert(all.end(), each.begin(), each.end());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

int bench_command(const std::vector<std::string>& words) {
  const Arguments arguments =
      parse_arguments(words, {"--inputs", "--component", "--device", "--threads", "--library", "--calls", "--callers"});
  const long calls = std::max(1L, arguments.number("--calls", 100));
  const long callers = std::clamp(arguments.number("--callers", 1), 1L, 256L);
  const Clock::time_point begin = Clock::now();
  const Package package(arguments.package, Integrity::crc32);
  const std::string component = package.choose_component(arguments.get("--component", ""));
  const Model model(package, component, arguments.settings("auto"));
  const double load = milliseconds_since(begin);
  const std::string folder = arguments.get("--inputs", "");
  const std::vector<Tensor> inputs =
      folder.empty() ? recorded_inputs(first_recorded(package, component)) : read_inputs(model, folder);
  const std::vector<Feed> feed = feed_of(model, inputs);
  measure(model, feed, std::max(1L, calls / 10));
  const Clock::time_point running = Clock::now();
  const std::vector<double> sorted = measure_together(model, feed, calls, callers);
  const double seconds = milliseconds_since(running) / 1000;
  const auto at = [&](double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  std::printf("load        %.3f ms, %s variant\n", load, model.is_tuned() ? "tuned" : "portable");
  std::printf("calls       %zu by %ld callers, %ld threads inside a call (0: ONNX Runtime's choice)\n", sorted.size(),
              callers, arguments.number("--threads", 0));
  std::printf("latency     p50 %.4f ms, p90 %.4f ms, p99 %.4f ms, worst %.4f ms\n", at(0.5), at(0.9), at(0.99),
              sorted.back());
  std::printf("throughput  %.1f calls/s\n", static_cast<double>(sorted.size()) / seconds);
  return 0;
}

}  // namespace tl
