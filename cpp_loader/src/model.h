// One component of a package, ready to run.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "interface.h"
#include "ort.h"
#include "package.h"
#include "tensor.h"

namespace tl {

struct Feed {
  std::string name;  // a tensor's name, or a path in the source's structure
  const Tensor* tensor;
};

// `run` may be called from several threads at once. Move-only.
class Model {
 public:
  // `component` may be "" where there is one only. The package must stay open until this returns, not longer.
  // Throws Error: usage, package, unsupported, execution.
  Model(const Package& package, const std::string& component, const ort::SessionSettings& settings);

  const Interface& interface() const { return interface_; }
  const std::vector<TensorInfo>& inputs() const { return interface_.input_tensors; }
  const std::vector<TensorInfo>& outputs() const { return interface_.output_tensors; }
  bool is_state_input(std::size_t index) const { return index >= inputs().size() - interface_.state.size(); }

  // The position of a tensor by its name or path; nothing where there is none.
  std::optional<std::size_t> find_input(const std::string& name) const;
  std::optional<std::size_t> find_output(const std::string& name) const;
  std::size_t input_index(const std::string& name) const;   // throws Error (usage)
  std::size_t output_index(const std::string& name) const;  // throws Error (usage)

  // Checks names, dtypes, ranks and sizes; the tensors by position, null for state that is left out. Throws Error
  // (usage).
  std::vector<const Tensor*> check_feed(const std::vector<Feed>& feed) const;

  // The outputs at these positions. Throws Error: usage, execution.
  std::vector<Tensor> run(const std::vector<Feed>& feed, const std::vector<std::size_t>& outputs) const;
  std::vector<Tensor> run_checked(const std::vector<const Tensor*>& inputs,
                                  const std::vector<std::size_t>& outputs) const;

  // Whether it runs the variant that was tuned for this host, not the portable one.
  bool is_tuned() const { return is_tuned_; }

  // Runs `call(session)`, which returns ONNX Runtime's status. A call that the tuned variant refuses (a convolution has
  // no image without pixels, where a matrix product has no rows) is made again with the portable one.
  // Throws Error: execution; usage, package, unsupported, where the portable variant cannot be opened.
  template <typename Call>
  void run_session(const Call& call) const {
    OrtStatus* status = call(session_.get());
    if (status != nullptr && portable_) {
      ort::api().ReleaseStatus(status);
      status = call(portable_session());
    }
    ort::check(status, where_);
  }

 private:
  // What the portable variant is opened with where the tuned one runs, and its session once it is.
  struct Portable {
    std::string path, digest, component;
    Integrity integrity;
    ort::SessionSettings settings;
    std::mutex mutex;
    ort::Session session;
  };

  OrtSession* portable_session() const;

  std::string where_;
  Interface interface_;
  ort::Env env_;
  std::unique_ptr<Portable> portable_;
  ort::Session session_;
  bool refuses_empty_ = false;
  bool is_tuned_ = false;
};

// Calls of one model in a row that carry its state along. Two streams never mix; one is for one thread at a time.
class Stream {
 public:
  explicit Stream(std::shared_ptr<const Model> model) : model_(std::move(model)) {}

  const Model& model() const { return *model_; }

  // As Model::run, from the present state to the next; after an error the state is as it was.
  std::vector<std::shared_ptr<Tensor>> run(const std::vector<Feed>& feed, const std::vector<std::size_t>& outputs);

  // Goes back to the initial state.
  void reset() { state_.clear(); }

 private:
  std::shared_ptr<const Model> model_;
  std::vector<std::shared_ptr<Tensor>> state_;  // by position in interface().state; empty before the first call
};

}  // namespace tl
