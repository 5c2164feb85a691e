// Walking an ONNX model's messages on a stack of our own, and patching the bytes of external references.
#include "onnx_model.h"

#include <algorithm>
#include <optional>

#include "error.h"
#include "external_tensor.h"
#include "onnx_contents.h"
#include "onnx_messages.h"
#include "unicode.h"

namespace tl {
namespace {

using onnx::Body;
using onnx::Field;
using onnx::Message;
using protozero::pbf_reader;
using protozero::pbf_wire_type;

// How deep messages may nest, as in protobuf's own parsers, and graphs.
constexpr std::size_t kMaxDepth = 100, kMaxGraphDepth = 30;

// The model is valid protobuf, but not in its shortest form.
struct FormError {};

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

std::string last_string(pbf_reader message, std::uint32_t number) {
  std::string found;
  while (message.next(number, pbf_wire_type::length_delimited)) found = message.get_string();
  return found;
}

// Steps over a varint; throws FormError where it takes more bytes than it needs. It was read before, so it ends.
const char* skip_shortest_varint(const char* at) {
  const char* begin = at;
  while ((static_cast<unsigned char>(*at) & 0x80) != 0) ++at;
  if (at != begin && *at == 0) throw FormError();
  return at + 1;
}

class Walker {
 public:
  Walker(std::string_view model, std::string member, const ModelPlace& place)
      : data_(model), member_(std::move(member)), place_(place) {}

  OnnxModel walk() {
    try {
      walk_messages();
    } catch (const protozero::exception& error) {
      throw malformed(error);
    } catch (const WireError& error) {
      throw malformed(error);
    }
    refuse_if(is_too_wide_, "onnx-size", "The model has more than 262144 messages or 524288 fields.");
    refuse_if(is_long_, "onnx-form",
              "The model is not in protobuf's shortest form: something in it stands twice, or hides.");
    check();
    facts_.bytes = apply_edits();
    return std::move(facts_);
  }

 private:
  Error malformed(const std::exception& error) const {
    return package_error(std::string("Not an ONNX model: ") + error.what() + ".", member_, "onnx");
  }

  void refuse_if(bool broken, const char* rule, const char* what) const {
    if (broken) throw package_error(what, member_, rule);
  }

  void check() const {
    refuse_if(!has_graph_, "onnx", "The ONNX model has no graph.");
    refuse_if(has_training_, "onnx-training", "The model has training information.");
    refuse_if(has_config_, "onnx-config", "The model brings its own session options.");
    refuse_if(has_many_functions_, "onnx-functions", "The model has more than 4096 functions.");
    refuse_if(graph_depth_ > kMaxGraphDepth, "onnx-depth", "Graphs nest deeper than 30.");
    refuse_if(has_bad_text_, "onnx-text", "A name or a place in the model is not UTF-8.");
    onnx::check_functions(graph_, functions_, place_.domains, member_);
    if (bad_tensor_) throw *bad_tensor_;
    onnx::check_domains(graph_, functions_, place_.domains, member_);
    if (bad_reference_) throw *bad_reference_;
  }

  void walk_messages() {
    push({Message::model, pbf_reader(data_.data(), data_.size()), data_.data(), data_.data(), data_.size(), 0});
    while (!stack_.empty() && !is_too_wide_) {
      Frame& frame = stack_.back();
      const char* header = frame.reader.data().data();
      if (!frame.reader.next()) {
        pop();
      } else {
        check_tag(header);
        is_too_wide_ = ++fields_ > onnx::kMaxFields;
        enter_field(frame, header);
      }
    }
  }

  void push(const Frame& frame) {
    if (stack_.size() > kMaxDepth) throw WireError("messages nest too deep");
    stack_.push_back(frame);
    if (frame.message == Message::training) has_training_ = true;
    if (frame.message == Message::node) add_node(frame.reader);
    if (frame.message == Message::graph) add_graph();
    if (frame.message == Message::tensor) add_tensor(stack_.back());
  }

  void enter_field(Frame& frame, const char* header) {
    const Field* field = find_field(frame.message, frame.reader.tag());
    if (field == nullptr) {
      frame.reader.skip();
      return;
    }
    check_form(frame, *field, header);
    if (is_packed_integers(frame, *field)) {
      // Each of them may take eight times as much memory as file.
      pbf_reader ahead = frame.reader;
      fields_ += ahead.get_view().size();
      is_too_wide_ |= fields_ > onnx::kMaxFields;
    }
    if (field->wire != frame.reader.wire_type() || field->child == Message::scalar) {
      frame.reader.skip();
      return;
    }
    is_too_wide_ |= ++messages_ > onnx::kMaxMessages;
    const std::uint32_t tag = frame.reader.tag_and_type();
    const std::size_t depth = stack_.size();
    const bool in_main_graph = depth == 2 && frame.message == Message::graph;
    const auto view = frame.reader.get_view();
    const pbf_reader content(view);
    if (depth == 1) add_part(*field, content);
    if (in_main_graph) add_graph_name(*field, content);
    push({field->child, content, header, view.data(), view.size(), tag});
  }

  // The form on the wire of one number in a repeated field; that of texts and messages for all other fields.
  static pbf_wire_type number_type(const Field& field) {
    if (field.count != onnx::Count::many || field.parent != Message::tensor) return field.wire;
    switch (field.number) {
      case onnx::kInt32Data:
      case onnx::kInt64Data:
      case onnx::kUint64Data:
        return pbf_wire_type::varint;
      case onnx::kFloatData:
        return pbf_wire_type::fixed32;
      case onnx::kDoubleData:
        return pbf_wire_type::fixed64;
      default:
        return field.wire;
    }
  }

  static bool is_packed_integers(const Frame& frame, const Field& field) {
    return field.count == onnx::Count::many && number_type(field) == pbf_wire_type::varint &&
           frame.reader.wire_type() == pbf_wire_type::length_delimited;
  }

  // Whether repeated numbers come in the other one of two forms, packed or not, than the one written. What comes in any
  // other form is a field that nobody knows.
  static bool is_other_form(const Frame& frame, const Field& field) {
    const pbf_wire_type single = number_type(field), found = frame.reader.wire_type();
    return field.count == onnx::Count::many && single != pbf_wire_type::length_delimited && found != field.wire &&
           (found == single || found == pbf_wire_type::length_delimited);
  }

  // Notes where a field stands twice, or a number in it is longer than it needs to be.
  void check_form(Frame& frame, const Field& field, const char* header) {
    const bool is_expected = field.wire == frame.reader.wire_type();
    if (is_expected && field.count == onnx::Count::once) {
      const std::uint64_t bit = std::uint64_t{1} << field.slot;
      is_long_ |= (frame.seen & bit) != 0;
      frame.seen |= bit;
    }
    is_long_ |= is_other_form(frame, field);
    try {
      const char* after = skip_shortest_varint(header);
      const bool has_varint = frame.reader.wire_type() == pbf_wire_type::varint ||
                              frame.reader.wire_type() == pbf_wire_type::length_delimited;
      if (is_expected && has_varint) {
        pbf_reader ahead = frame.reader;
        ahead.skip();  // throws where the varint does not end
        skip_shortest_varint(after);
      }
    } catch (const FormError&) {
      is_long_ = true;
    }
  }

  // A part of the model itself.
  void add_part(const Field& field, const pbf_reader& content) {
    if (field.child == Message::graph) has_graph_ = true;
    if (field.child == Message::entry && last_string(content, 1) == "ort_config") has_config_ = true;
    if (field.child == Message::opset) add_opset(content);
    if (field.child == Message::function) {
      has_many_functions_ = functions_.size() >= onnx::kMaxFunctions;
      if (has_many_functions_) return;
      for (const std::uint32_t number : {10, 1, 13}) check_text(content, number);
      functions_.emplace_back().name = {last_string(content, 10), last_string(content, 1), last_string(content, 13)};
    }
  }

  // Notes a text field that is not UTF-8.
  void check_text(const pbf_reader& message, std::uint32_t number) {
    has_bad_text_ |= !unicode::decode_utf8(last_string(message, number));
  }

  void add_opset(pbf_reader opset) {
    std::string domain = last_string(opset, 1);
    std::int64_t version = 0;
    while (opset.next(2, pbf_wire_type::varint)) version = opset.get_int64();
    facts_.opsets.emplace_back(domain.empty() ? "ai.onnx" : std::move(domain), version);
  }

  void add_graph_name(const Field& field, const pbf_reader& content) {
    if (field.number == 5) facts_.initializers.insert(last_string(content, 8));
    if (field.number == 11 || field.number == 12) check_text(content, 1);
    if (field.number == 11) facts_.inputs.push_back(last_string(content, 1));
    if (field.number == 12) facts_.outputs.push_back(last_string(content, 1));
  }

  Body& current_body() {
    return stack_.size() > 1 && stack_[1].message == Message::function ? functions_.back() : graph_;
  }

  void add_node(const pbf_reader& node) {
    Body& body = current_body();
    ++body.nodes;
    for (const std::uint32_t number : {3, 4, 7, 8}) check_text(node, number);
    std::string domain = last_string(node, 7);
    if (onnx::is_standard_domain(domain)) return;
    body.calls.emplace_back(std::move(domain), last_string(node, 4), last_string(node, 8));
  }

  void add_graph() {
    const auto graphs = static_cast<std::size_t>(std::count_if(
        stack_.begin(), stack_.end(), [](const Frame& frame) { return frame.message == Message::graph; }));
    // The graph itself has none around it; in a function, the first one counts.
    const bool in_function = stack_[1].message == Message::function;
    graph_depth_ = std::max(graph_depth_, graphs - (in_function ? 0 : 1));
  }

  void add_tensor(Frame& frame) {
    check_text(frame.reader, 8);
    pbf_reader entries = frame.reader;
    while (entries.next(13, pbf_wire_type::length_delimited)) {
      const pbf_reader entry = entries.get_message();
      for (const std::uint32_t number : {1, 2}) check_text(entry, number);
    }
    // One error of each kind is told; exceptions for thousands of them would take seconds.
    if (bad_reference_ && (bad_tensor_ || is_outside(frame.reader))) return;
    if (bad_tensor_ && !is_outside(frame.reader)) return;
    try {
      for (Edit& edit : point_tensor(frame.reader, member_, place_)) {
        frame.growth += static_cast<std::int64_t>(edit.bytes.size()) - (edit.end - edit.begin);
        edits_.push_back(std::move(edit));
      }
    } catch (const Error& error) {
      // Told when the model as a whole is known to be sound.
      std::optional<Error>& place = error.rule == "onnx-tensors" ? bad_tensor_ : bad_reference_;
      if (!place) place.emplace(error);
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
  const ModelPlace& place_;
  std::vector<Frame> stack_;
  std::vector<Edit> edits_;
  OnnxModel facts_;
  Body graph_;
  std::vector<Body> functions_;
  std::optional<Error> bad_tensor_, bad_reference_;
  std::size_t graph_depth_ = 0;
  std::uint64_t messages_ = 0, fields_ = 0;
  bool has_graph_ = false, has_training_ = false, has_config_ = false, has_bad_text_ = false;
  bool has_many_functions_ = false;
  bool is_long_ = false, is_too_wide_ = false;
};

}  // namespace

OnnxModel point_into(std::string_view model, const std::string& member, const ModelPlace& place) {
  return Walker(model, member, place).walk();
}

}  // namespace tl
