// transload for C++17: open a package, run its models. Header-only, over transload.h.
//
//   auto model = transload::Model::open("m.tload");
//   auto results = model.run({{"x", transload::Tensor::over(data, {1, 256})}});
//   const float* scores = results["boxes/0/scores"].data<float>();
//
// Every class owns its handle and is move-only, but Model, whose copies share one. Errors are transload::Error. A Model
// may be run from several threads at once; every other object by one thread at a time.
#ifndef TRANSLOAD_TRANSLOAD_HPP
#define TRANSLOAD_TRANSLOAD_HPP

#include <transload/transload.h>

#include <cstddef>
#include <cstdint>
#include <future>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace transload {

enum class Status {
  mismatch = TL_MISMATCH,
  usage = TL_USAGE,
  unsupported = TL_UNSUPPORTED,
  package = TL_PACKAGE,
  execution = TL_EXECUTION
};

enum class Dtype {
  float32 = TL_FLOAT32,
  uint8 = TL_UINT8,
  int8 = TL_INT8,
  uint16 = TL_UINT16,
  int16 = TL_INT16,
  int32 = TL_INT32,
  int64 = TL_INT64,
  string = TL_STRING,
  boolean = TL_BOOL,
  float16 = TL_FLOAT16,
  float64 = TL_FLOAT64,
  uint32 = TL_UINT32,
  uint64 = TL_UINT64,
  bfloat16 = TL_BFLOAT16,
  float8_e4m3fn = TL_FLOAT8_E4M3FN,
  float8_e4m3fnuz = TL_FLOAT8_E4M3FNUZ,
  float8_e5m2 = TL_FLOAT8_E5M2,
  float8_e5m2fnuz = TL_FLOAT8_E5M2FNUZ,
  uint4 = TL_UINT4,
  int4 = TL_INT4,
};

enum class Integrity { none = TL_INTEGRITY_NONE, crc32 = TL_INTEGRITY_CRC32, sha256 = TL_INTEGRITY_SHA256 };

// What happened, where, and what to do next. `member` and `rule` name the part of a package that is at fault and the
// rule of docs/format.md that it breaks; what does not apply is empty.
class Error : public std::runtime_error {
 public:
  // Takes the error over and frees it; it may be null.
  Error(tl_status code, tl_error* error)
      : std::runtime_error(error == nullptr ? "Out of memory." : tl_error_message(error)),
        status_(static_cast<Status>(code)) {
    const std::unique_ptr<tl_error, void (*)(tl_error*)> owner(error, &tl_error_free);
    if (error == nullptr) return;
    where_ = tl_error_where(error);
    hint_ = tl_error_hint(error);
    member_ = tl_error_member(error);
    rule_ = tl_error_rule(error);
  }

  Status status() const noexcept { return status_; }
  const std::string& where() const noexcept { return where_; }
  const std::string& hint() const noexcept { return hint_; }
  const std::string& member() const noexcept { return member_; }
  const std::string& rule() const noexcept { return rule_; }

 private:
  Status status_;
  std::string where_, hint_, member_, rule_;
};

namespace detail {

// Makes a call of the C interface, which takes a place for its error.
template <typename Call>
void check(Call call) {
  tl_error* error = nullptr;
  const tl_status status = call(&error);
  if (status != TL_OK) throw Error(status, error);
}

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};

template <typename T, auto Free>
using Owned = std::unique_ptr<T, Freer<Free>>;

}  // namespace detail

// Bits of the narrow floats, for tensors of them.
struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

// The element type of a C++ type; int4, uint4 and float8 have none and are given by Dtype.
template <typename T>
constexpr Dtype dtype_of() = delete;
template <>
constexpr Dtype dtype_of<float>() {
  return Dtype::float32;
}
template <>
constexpr Dtype dtype_of<double>() {
  return Dtype::float64;
}
template <>
constexpr Dtype dtype_of<Float16>() {
  return Dtype::float16;
}
template <>
constexpr Dtype dtype_of<BFloat16>() {
  return Dtype::bfloat16;
}
template <>
constexpr Dtype dtype_of<bool>() {
  return Dtype::boolean;
}
template <>
constexpr Dtype dtype_of<std::int8_t>() {
  return Dtype::int8;
}
template <>
constexpr Dtype dtype_of<std::int16_t>() {
  return Dtype::int16;
}
template <>
constexpr Dtype dtype_of<std::int32_t>() {
  return Dtype::int32;
}
template <>
constexpr Dtype dtype_of<std::int64_t>() {
  return Dtype::int64;
}
template <>
constexpr Dtype dtype_of<std::uint8_t>() {
  return Dtype::uint8;
}
template <>
constexpr Dtype dtype_of<std::uint16_t>() {
  return Dtype::uint16;
}
template <>
constexpr Dtype dtype_of<std::uint32_t>() {
  return Dtype::uint32;
}
template <>
constexpr Dtype dtype_of<std::uint64_t>() {
  return Dtype::uint64;
}

using Shape = std::vector<std::int64_t>;

// A row-major tensor. `over` points into the caller's memory, which is not copied and must outlive the tensor, its
// copies in bindings, and every call that uses it.
class Tensor {
 public:
  // Over `size_bytes` bytes of any element type; two 4-bit elements share a byte.
  static Tensor over(Dtype dtype, void* data, std::size_t size_bytes, const Shape& shape) {
    tl_tensor* tensor = nullptr;
    detail::check([&](tl_error** error) {
      return tl_tensor_wrap(static_cast<tl_dtype>(dtype), shape.data(), shape.size(), data, size_bytes, &tensor, error);
    });
    return Tensor(tensor);
  }

  template <typename T>
  static Tensor over(T* data, std::size_t count, const Shape& shape) {
    return over(dtype_of<T>(), data, count * sizeof(T), shape);
  }

  // Over a container with data() and size(), such as std::vector or std::array.
  template <typename Container>
  static Tensor over(Container& container, const Shape& shape) {
    return over(container.data(), container.size(), shape);
  }

  // Zeros in memory of the library.
  static Tensor zeros(Dtype dtype, const Shape& shape) {
    tl_tensor* tensor = nullptr;
    detail::check([&](tl_error** error) {
      return tl_tensor_create(static_cast<tl_dtype>(dtype), shape.data(), shape.size(), &tensor, error);
    });
    return Tensor(tensor);
  }

  template <typename T>
  static Tensor zeros(const Shape& shape) {
    return zeros(dtype_of<T>(), shape);
  }

  // Copies of the strings, which are UTF-8.
  static Tensor of_strings(const std::vector<std::string>& strings, const Shape& shape) {
    std::vector<const char*> pointers;
    for (const std::string& text : strings) pointers.push_back(text.c_str());
    tl_tensor* tensor = nullptr;
    detail::check([&](tl_error** error) {
      return tl_tensor_create_strings(shape.data(), shape.size(), pointers.data(), pointers.size(), &tensor, error);
    });
    return Tensor(tensor);
  }

  // Takes over a handle of the C interface.
  explicit Tensor(tl_tensor* handle) : handle_(handle) {}

  Dtype dtype() const { return static_cast<Dtype>(tl_tensor_dtype(handle_.get())); }
  Shape shape() const {
    const std::int64_t* begin = tl_tensor_shape(handle_.get());
    return Shape(begin, begin + tl_tensor_rank(handle_.get()));
  }
  std::size_t count() const { return tl_tensor_count(handle_.get()); }
  std::size_t size_bytes() const { return tl_tensor_size_bytes(handle_.get()); }
  void* bytes() const { return tl_tensor_data(handle_.get()); }

  // The elements. Throws std::invalid_argument where they are of another type.
  template <typename T>
  T* data() const {
    if (dtype() != dtype_of<T>()) throw std::invalid_argument("The tensor has another element type.");
    return static_cast<T*>(bytes());
  }

  // A copy of the elements.
  template <typename T>
  std::vector<T> to_vector() const {
    const T* begin = data<T>();
    return std::vector<T>(begin, begin + count());
  }

  std::vector<std::string> strings() const {
    if (dtype() != Dtype::string) throw std::invalid_argument("The tensor holds no strings.");
    std::vector<std::string> found;
    for (std::size_t index = 0; index < count(); ++index) {
      std::size_t size = 0;
      const char* text = tl_tensor_string(handle_.get(), index, &size);
      found.emplace_back(text, size);
    }
    return found;
  }

  const tl_tensor* handle() const { return handle_.get(); }

 private:
  detail::Owned<tl_tensor, tl_tensor_free> handle_;
};

// A tensor under its name, or its path in the source's structure. The tensor must outlive the call.
struct Input {
  Input(std::string input_name, const Tensor& input_tensor) : name(std::move(input_name)), tensor(&input_tensor) {}
  std::string name;
  const Tensor* tensor;
};

// One input or output of a model: -1 stands for a size that is dynamic or not known.
struct TensorInfo {
  std::string name;
  Dtype dtype;
  bool has_rank;
  Shape shape;
  std::vector<std::string> dim_names;  // "" where a size has none
};

// The tensors of one call, by name or by path ("boxes/0/scores"). Keeps the model alive.
class Results {
 public:
  Results(std::shared_ptr<tl_model> model, std::vector<std::size_t> positions, std::vector<Tensor> tensors)
      : model_(std::move(model)), positions_(std::move(positions)), tensors_(std::move(tensors)) {}

  // Throws Error (usage): the model has no such output; std::out_of_range: it was not asked for.
  const Tensor& operator[](const std::string& name) const {
    std::size_t position = 0;
    detail::check([&](tl_error** error) { return tl_model_find_output(model_.get(), name.c_str(), &position, error); });
    for (std::size_t index = 0; index < positions_.size(); ++index) {
      if (positions_[index] == position) return tensors_[index];
    }
    throw std::out_of_range("The output " + name + " was not asked for.");
  }

  // In the order in which they were asked for, or the interface's.
  const Tensor& operator[](std::size_t index) const { return tensors_.at(index); }
  std::size_t size() const { return tensors_.size(); }
  auto begin() const { return tensors_.begin(); }
  auto end() const { return tensors_.end(); }

 private:
  std::shared_ptr<tl_model> model_;
  std::vector<std::size_t> positions_;
  std::vector<Tensor> tensors_;
};

struct Options {
  std::string component;        // may be left out where there is one only
  std::string device = "auto";  // auto, cpu, cuda, cuda:N
  int threads = 0;              // inside one call; 0 leaves the choice to ONNX Runtime
  bool optimize = true;         // graph optimisations
  bool prepack = true;          // copies of weights for faster kernels; without, weights stay in the mapped file
  bool tuned = true;            // whether a variant that `transload tune` made for this host is used
  Integrity integrity = Integrity::crc32;
  std::vector<std::string> libraries =
      {};  // of operators, where the interface declares domains of such; their code runs
};

// An opened package file.
class Package {
 public:
  static Package open(const std::string& path, Integrity integrity = Integrity::crc32) {
    tl_package* package = nullptr;
    detail::check([&](tl_error** error) {
      return tl_package_open(path.c_str(), static_cast<tl_integrity>(integrity), &package, error);
    });
    return Package(package);
  }

  std::string name() const { return tl_package_name(handle_.get()); }
  std::string digest() const { return tl_package_digest(handle_.get()); }
  std::vector<std::string> components() const {
    std::vector<std::string> names;
    for (std::size_t index = 0; index < tl_package_component_count(handle_.get()); ++index) {
      names.emplace_back(tl_package_component_name(handle_.get(), index));
    }
    return names;
  }

  // Reads and checks models, weights, interfaces and vectors of all components.
  void check() const {
    detail::check([&](tl_error** error) { return tl_package_check(handle_.get(), error); });
  }

  const tl_package* handle() const { return handle_.get(); }

 private:
  explicit Package(tl_package* handle) : handle_(handle) {}
  detail::Owned<tl_package, tl_package_close> handle_;
};

class Binding;
class Stream;

// One component of a package, ready to run.
class Model {
 public:
  static Model open(const std::string& path, const Options& options = {}) {
    return open(Package::open(path, options.integrity), options);
  }

  // The package may go when this has returned.
  static Model open(const Package& package, const Options& options = {}) {
    tl_options* raw = nullptr;
    detail::check([&](tl_error** error) { return tl_options_create(&raw, error); });
    const detail::Owned<tl_options, tl_options_free> words(raw);
    const auto set = [&](const char* key, const std::string& value) {
      detail::check([&](tl_error** error) { return tl_options_set(raw, key, value.c_str(), error); });
    };
    set("device", options.device);
    set("threads", std::to_string(options.threads));
    set("optimize", options.optimize ? "1" : "0");
    set("prepack", options.prepack ? "1" : "0");
    set("tuned", options.tuned ? "1" : "0");
    for (const std::string& library : options.libraries) set("library", library);
    tl_model* model = nullptr;
    const char* component = options.component.empty() ? nullptr : options.component.c_str();
    detail::check([&](tl_error** error) { return tl_model_open(package.handle(), component, raw, &model, error); });
    return Model(model);
  }

  // Every output, in the interface's order, or those of these names or paths.
  // Throws Error: usage (an input is not the interface's), execution.
  Results run(const std::vector<Input>& inputs, const std::vector<std::string>& outputs = {}) const {
    return call(inputs, outputs, tl_model_output_count(handle_.get()),
                [&](auto... arguments) { return tl_model_run(handle_.get(), arguments...); });
  }
  Results run(std::initializer_list<Input> inputs, const std::vector<std::string>& outputs = {}) const {
    return run(std::vector<Input>(inputs), outputs);
  }

  // As run, in a thread of its own. The tensors and what they point to must live until the future is ready.
  std::future<Results> run_async(std::vector<Input> inputs, std::vector<std::string> outputs = {}) const {
    return std::async(std::launch::async, [model = Model(handle_), inputs = std::move(inputs),
                                           outputs = std::move(outputs)] { return model.run(inputs, outputs); });
  }

  Binding bind() const;
  Stream stream() const;

  // Which build of the component runs: "portable", or "tuned" where there is one for this host.
  std::string variant() const { return tl_model_variant(handle_.get()); }

  std::vector<TensorInfo> inputs() const { return describe(tl_model_input_count, tl_model_input); }
  std::vector<TensorInfo> outputs() const { return describe(tl_model_output_count, tl_model_output); }

 private:
  friend class Binding;
  friend class Stream;

  explicit Model(tl_model* handle) : handle_(handle, &tl_model_close) {}
  explicit Model(std::shared_ptr<tl_model> handle) : handle_(std::move(handle)) {}

  template <typename Run>
  Results call(const std::vector<Input>& inputs, const std::vector<std::string>& outputs, std::size_t all,
               Run run_it) const {
    std::vector<const char*> names, output_names;
    std::vector<const tl_tensor*> tensors;
    for (const Input& input : inputs) {
      names.push_back(input.name.c_str());
      tensors.push_back(input.tensor->handle());
    }
    std::vector<std::size_t> positions;
    for (const std::string& name : outputs) {
      std::size_t position = 0;
      detail::check(
          [&](tl_error** error) { return tl_model_find_output(handle_.get(), name.c_str(), &position, error); });
      positions.push_back(position);
      output_names.push_back(name.c_str());
    }
    if (outputs.empty()) {
      for (std::size_t index = 0; index < all; ++index) positions.push_back(index);
    }
    std::vector<tl_tensor*> found(positions.size(), nullptr);
    detail::check([&](tl_error** error) {
      return run_it(names.data(), tensors.data(), tensors.size(), outputs.empty() ? nullptr : output_names.data(),
                    found.size(), found.data(), error);
    });
    std::vector<Tensor> results;
    results.reserve(found.size());
    for (tl_tensor* tensor : found) results.emplace_back(tensor);
    return Results(handle_, std::move(positions), std::move(results));
  }

  template <typename Count, typename At>
  std::vector<TensorInfo> describe(Count count, At at) const {
    std::vector<TensorInfo> found;
    for (std::size_t index = 0; index < count(handle_.get()); ++index) {
      const tl_tensor_info* info = at(handle_.get(), index);
      const std::int64_t rank = tl_tensor_info_rank(info);
      TensorInfo tensor{tl_tensor_info_name(info), static_cast<Dtype>(tl_tensor_info_dtype(info)), rank >= 0, {}, {}};
      for (std::int64_t axis = 0; axis < rank; ++axis) {
        tensor.shape.push_back(tl_tensor_info_dim(info, static_cast<std::size_t>(axis)));
        tensor.dim_names.emplace_back(tl_tensor_info_dim_name(info, static_cast<std::size_t>(axis)));
      }
      found.push_back(std::move(tensor));
    }
    return found;
  }

  std::shared_ptr<tl_model> handle_;
};

// Inputs and outputs fixed once, for repeated calls that allocate nothing of ours.
class Binding {
 public:
  Binding& input(const std::string& name, const Tensor& tensor) {
    detail::check(
        [&](tl_error** error) { return tl_binding_set_input(handle_.get(), name.c_str(), tensor.handle(), error); });
    return *this;
  }

  // Where an output is to be written. Without one, the first run allocates it and later runs write there again.
  Binding& output(const std::string& name, const Tensor& tensor) {
    detail::check(
        [&](tl_error** error) { return tl_binding_set_output(handle_.get(), name.c_str(), tensor.handle(), error); });
    return *this;
  }

  void run() {
    detail::check([&](tl_error** error) { return tl_binding_run(handle_.get(), error); });
  }

  // An output of the last run, which the next run overwrites.
  Tensor result(const std::string& name) const {
    tl_tensor* tensor = nullptr;
    detail::check([&](tl_error** error) { return tl_binding_output(handle_.get(), name.c_str(), &tensor, error); });
    return Tensor(tensor);
  }

 private:
  friend class Model;
  explicit Binding(tl_binding* handle) : handle_(handle) {}
  detail::Owned<tl_binding, tl_binding_free> handle_;
};

// Calls of one model in a row that carry its state along. Two streams never mix.
class Stream {
 public:
  // As Model::run, from the present state to the next; by default all outputs but state.
  Results run(const std::vector<Input>& inputs, const std::vector<std::string>& outputs = {}) {
    return model_.call(inputs, outputs, tl_model_result_count(model_.handle_.get()),
                       [&](auto... arguments) { return tl_stream_run(handle_.get(), arguments...); });
  }
  Results run(std::initializer_list<Input> inputs, const std::vector<std::string>& outputs = {}) {
    return run(std::vector<Input>(inputs), outputs);
  }

  // Goes back to the initial state.
  void reset() { tl_stream_reset(handle_.get()); }

 private:
  friend class Model;
  Stream(Model model, tl_stream* handle) : model_(std::move(model)), handle_(handle) {}
  Model model_;
  detail::Owned<tl_stream, tl_stream_free> handle_;
};

inline Binding Model::bind() const {
  tl_binding* binding = nullptr;
  detail::check([&](tl_error** error) { return tl_binding_create(handle_.get(), &binding, error); });
  return Binding(binding);
}

inline Stream Model::stream() const {
  tl_stream* stream = nullptr;
  detail::check([&](tl_error** error) { return tl_stream_create(handle_.get(), &stream, error); });
  return Stream(Model(handle_), stream);
}

}  // namespace transload

#endif  // TRANSLOAD_TRANSLOAD_HPP
