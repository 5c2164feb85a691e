// Walking an ONNX model's messages on a stack of our own, and patching the bytes of external references.
#include "onnx_model.h"

#include <algorithm>
#include <optional>

#include "error.h"
#include "external_tensor.h"
#include "onnx_messages.h"

namespace tl {
namespace {

using onnx::Field;
using onnx::Message;
using protozero::pbf_reader;
using protozero::pbf_wire_type;

// How deep messages may nest, as in protobuf's own parsers.
constexpr std::size_t kMaxDepth = 100;

// A message that is being read. Its header (tag and length) goes from `header` to `content`.
struct Frame {
  Message message;
  pbf_reader reader;
  const char* header;
  const char* content;
  std::uint64_t size;
  std::uint32_t tag;
  std::uint64_t seen = 0;   // bits of the fields that stand once and were met
  std::int64_t growth = 0;  // by how many bytes the edits inside make it longer
};

const Field* find_field(Message parent, std::uint32_t number) {
  const auto found = std::find_if(std::begin(onnx::kFields), std::end(onnx::kFields),
                                  [&](const Field& field) { return field.parent == parent && field.number == number; });
  return found == std::end(onnx::kFields) ? nullptr : found;
}

std::string first_string(pbf_reader message, std::uint32_t number) {
  std::string found;
  while (message.next(number, pbf_wire_type::length_delimited)) found = message.get_string();
  return found;
}

class Walker {
 public:
  Walker(std::string_view model, std::string member, const WeightsPlace& place)
      : data_(model), member_(std::move(member)), place_(place) {}

  OnnxModel walk() {
    push({Message::model, pbf_reader(data_.data(), data_.size()), data_.data(), data_.data(), data_.size(), 0});
    while (!stack_.empty()) {
      Frame& frame = stack_.back();
      const char* header = frame.reader.data().data();
      if (!frame.reader.next()) {
        pop();
      } else {
        enter_field(frame, header);
      }
    }
    if (!has_graph_) throw package_error("The ONNX model has no graph.", member_, "onnx");
    facts_.bytes = apply_edits();
    return std::move(facts_);
  }

 private:
  void push(const Frame& frame) {
    if (stack_.size() > kMaxDepth) throw WireError("messages nest too deep");
    stack_.push_back(frame);
    if (frame.message == Message::tensor && !in_training()) patch_tensor(stack_.back());
  }

  // The graphs for training are never run, and no reader looks at their tensors.
  bool in_training() const {
    return std::any_of(stack_.begin(), stack_.end(),
                       [](const Frame& frame) { return frame.message == Message::training; });
  }

  void enter_field(Frame& frame, const char* header) {
    const std::uint32_t number = frame.reader.tag();
    const Field* field = find_field(frame.message, number);
    const bool is_known = field != nullptr && field->wire == frame.reader.wire_type();
    if (is_known && field->count == onnx::Count::once) {
      const std::uint64_t bit = std::uint64_t{1} << field->slot;
      if ((frame.seen & bit) != 0) throw WireError("a field that is not repeated stands twice");
      frame.seen |= bit;
    }
    if (!is_known || field->child == Message::scalar) {
      frame.reader.skip();
      return;
    }
    const std::uint32_t tag = frame.reader.tag_and_type();
    const bool on_top = stack_.size() == 1;
    const bool in_main_graph = stack_.size() == 2 && frame.message == Message::graph && has_graph_;
    const auto view = frame.reader.get_view();
    const pbf_reader content(view);
    if (on_top && field->child == Message::graph) has_graph_ = true;
    if (on_top && field->child == Message::opset) add_opset(content);
    if (in_main_graph) add_graph_name(*field, content);
    push({field->child, content, header, view.data(), view.size(), tag});
  }

  void add_opset(pbf_reader opset) {
    std::string domain = first_string(opset, 1);
    std::int64_t version = 0;
    while (opset.next(2, pbf_wire_type::varint)) version = opset.get_int64();
    facts_.opsets.emplace_back(domain.empty() ? "ai.onnx" : std::move(domain), version);
  }

  void add_graph_name(const Field& field, const pbf_reader& content) {
    if (field.number == 5) facts_.initializers.insert(first_string(content, 8));
    if (field.number == 11) facts_.inputs.push_back(first_string(content, 1));
    if (field.number == 12) facts_.outputs.push_back(first_string(content, 1));
  }

  void patch_tensor(Frame& frame) {
    for (Edit& edit : point_tensor(frame.reader, member_, place_)) {
      frame.growth += static_cast<std::int64_t>(edit.bytes.size()) - (edit.end - edit.begin);
      edits_.push_back(std::move(edit));
    }
  }

  // Leaves a message; if it grew, its header and those around it change.
  void pop() {
    const Frame frame = stack_.back();
    stack_.pop_back();
    if (stack_.empty() || frame.growth == 0) return;
    std::string header;
    protozero::write_varint(std::back_inserter(header), frame.tag);
    protozero::write_varint(std::back_inserter(header), frame.size + static_cast<std::uint64_t>(frame.growth));
    stack_.back().growth += frame.growth + static_cast<std::int64_t>(header.size()) - (frame.content - frame.header);
    edits_.push_back({frame.header, frame.content, std::move(header)});
  }

  std::string apply_edits() {
    std::sort(edits_.begin(), edits_.end(), [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
    std::string out;
    const char* done = data_.data();
    for (const Edit& edit : edits_) {
      out.append(done, edit.begin);
      out += edit.bytes;
      done = edit.end;
    }
    return out.append(done, data_.data() + data_.size());
  }

  std::string_view data_;
  std::string member_;
  const WeightsPlace& place_;
  std::vector<Frame> stack_;
  std::vector<Edit> edits_;
  OnnxModel facts_;
  bool has_graph_ = false;
};

}  // namespace

OnnxModel point_into(std::string_view model, const std::string& member, const WeightsPlace& place) {
  try {
    return Walker(model, member, place).walk();
  } catch (const protozero::exception& error) {
    throw package_error(std::string("Not an ONNX model: ") + error.what() + ".", member, "onnx");
  } catch (const WireError& error) {
    throw package_error(std::string("Not an ONNX model: ") + error.what() + ".", member, "onnx");
  }
}

}  // namespace tl
