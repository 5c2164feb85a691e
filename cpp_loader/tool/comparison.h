// Comparing outputs with a reference, by the rules of docs/numerics.md.
#pragma once

#include <string>

#include "interface.h"
#include "tensor.h"

namespace tl {

// How one output compares with its reference. `reason` says in a few words why it did not pass.
struct Comparison {
  std::string name;
  bool passed = false;
  std::string reason;
  double max_abs_error = 0, max_rel_error = 0;  // over the elements that are finite on both sides
  bool has_worst = false;
  std::string worst_index, worst_ours, worst_reference;
  double p99_abs_error = 0, cosine = 1;
  std::uint64_t missed = 0, size = 0, signed_zeros = 0;
};

// The standard's tolerance for an element type.
Tolerance default_tolerance(Dtype dtype);

// Exact: dtype, rank and shape, integers, booleans, strings, the places of NaN and infinities. Floats pass when
// `|ours - reference| <= atol + rtol * |reference| + noise` holds for every element.
Comparison compare_output(const std::string& name, const Tensor& ours, const Tensor& reference,
                          const Tolerance& tolerance);

// One line of text, for reports.
std::string format_row(const Comparison& comparison);

}  // namespace tl
