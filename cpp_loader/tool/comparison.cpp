// The comparator of transload.runtime.comparison, without its estimate of the source's noise, which only conversion
// has.
#include "comparison.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "floats.h"
#include "table.h"

namespace tl {
namespace {

std::string join(const std::vector<std::int64_t>& numbers, const char* separator) {
  std::string text;
  for (const std::int64_t number : numbers) text += (text.empty() ? "" : separator) + std::to_string(number);
  return text;
}

std::string place(std::uint64_t flat, const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index[axis] = static_cast<std::int64_t>(flat % static_cast<std::uint64_t>(shape[axis]));
    flat /= static_cast<std::uint64_t>(shape[axis]);
  }
  return join(index, ",");
}

std::string long_number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

// The 99th percentile, interpolated between neighbours as numpy does by default.
double percentile99(std::vector<double> values) {
  if (values.empty()) return 0;
  const double rank = 0.99 * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(rank);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(low), values.end());
  const double below = values[low];
  if (low + 1 == values.size()) return below;
  const double above = *std::min_element(values.begin() + static_cast<std::ptrdiff_t>(low) + 1, values.end());
  return below + (above - below) * (rank - static_cast<double>(low));
}

double cosine_of(double product, double ours, double reference) {
  if (ours == 0 || reference == 0) return ours == reference ? 1 : 0;
  return product / std::sqrt(ours) / std::sqrt(reference);
}

std::string element_text(const Tensor& tensor, std::uint64_t index) {
  if (tensor.dtype == Dtype::string) return tensor.strings[index];
  if (tensor.dtype == Dtype::boolean) return integer_at(tensor, index) != 0 ? "True" : "False";
  if (tensor.dtype == Dtype::uint64) return std::to_string(static_cast<std::uint64_t>(integer_at(tensor, index)));
  return std::to_string(integer_at(tensor, index));
}

// An integer of a tensor as a float; uint64 has the bits of its values.
double widen(const Tensor& tensor, std::int64_t value) {
  return tensor.dtype == Dtype::uint64 ? static_cast<double>(static_cast<std::uint64_t>(value))
                                       : static_cast<double>(value);
}

// |a - b| of two integers of the same type, of which uint64 has the bits of its values.
double distance(const Tensor& tensor, std::int64_t a, std::int64_t b) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  const bool greater = tensor.dtype == Dtype::uint64 ? x > y : a > b;
  return static_cast<double>(greater ? x - y : y - x);
}

Comparison compare_exact(Comparison result, const Tensor& ours, const Tensor& reference) {
  const bool is_text = reference.dtype == Dtype::string;
  std::vector<double> errors;
  double largest = -1, product = 0, squares = 0, reference_squares = 0;
  std::uint64_t worst = 0;
  for (std::uint64_t index = 0; index < result.size; ++index) {
    double error = 0;
    bool differs = false;
    if (is_text) {
      differs = ours.strings[index] != reference.strings[index];
    } else {
      const std::int64_t a = integer_at(ours, index), b = integer_at(reference, index);
      differs = a != b;
      error = distance(reference, a, b);
      const double x = widen(ours, a), y = widen(reference, b);
      product += x * y;
      squares += x * x;
      reference_squares += y * y;
    }
    errors.push_back(error);
    if (!differs) continue;
    ++result.missed;
    if (error > largest) {
      largest = error;
      worst = index;
    }
  }
  result.passed = result.missed == 0;
  if (result.passed) return result;
  result.reason = std::to_string(result.missed) + " of " + std::to_string(result.size) + " values differ; " +
                  (is_text ? "object" : dtype_name(reference.dtype)) + " must be equal";
  result.max_abs_error = largest;
  result.has_worst = true;
  result.worst_index = place(worst, reference.shape);
  result.worst_ours = element_text(ours, worst);
  result.worst_reference = element_text(reference, worst);
  result.p99_abs_error = percentile99(std::move(errors));
  result.cosine = is_text ? 0 : cosine_of(product, squares, reference_squares);
  return result;
}

// 0 finite, 1 NaN, 2 plus infinity, 3 minus infinity.
int kind_of(double value) { return std::isfinite(value) ? 0 : std::isnan(value) ? 1 : value > 0 ? 2 : 3; }

// What is gathered over a tensor of floats.
struct Sums {
  double product = 0, ours = 0, reference = 0;
  std::uint64_t misplaced = 0, worst = 0;
  double worst_error = -1, worst_miss = -1;
  std::vector<double> errors;  // of the elements that are finite on both sides, or equal infinities
};

void compare_element(double a, double b, std::uint64_t index, const Tolerance& tolerance, bool is_wide,
                     Comparison& result, Sums& sums) {
  if (kind_of(a) != kind_of(b)) {
    ++sums.misplaced;
    ++result.missed;
    // Worse than any error in numbers; the first one is shown.
    if (sums.worst_miss < INFINITY) {
      sums.worst_miss = INFINITY;
      sums.worst = index;
    }
    return;
  }
  const bool finite = std::isfinite(a);
  const double x = finite ? a : 0, y = finite ? b : 0;
  const double exact = std::fabs(x - y);
  const double error = is_wide ? exact : static_cast<double>(static_cast<float>(exact));
  if (finite) {
    if (y != 0) result.max_rel_error = std::max(result.max_rel_error, exact / std::fabs(y));
    if (x == 0 && y == 0 && std::signbit(x) != std::signbit(y)) ++result.signed_zeros;
  }
  sums.product += x * y;
  sums.ours += x * x;
  sums.reference += y * y;
  if (std::isfinite(error)) {
    result.max_abs_error = std::max(result.max_abs_error, error);
    sums.errors.push_back(error);
  }
  const bool missed = exact > tolerance.atol + tolerance.rtol * std::fabs(y) + tolerance.noise;
  if (missed) ++result.missed;
  if (missed && error > sums.worst_miss) {
    sums.worst_miss = error;
    sums.worst = index;
  } else if (sums.worst_miss < 0 && error > sums.worst_error) {
    sums.worst = index;
  }
  sums.worst_error = std::max(sums.worst_error, error);
}

Comparison compare_floats(Comparison result, const Tensor& ours, const Tensor& reference, const Tolerance& tolerance) {
  Sums sums;
  for (std::uint64_t index = 0; index < result.size; ++index) {
    compare_element(float_at(ours, index), float_at(reference, index), index, tolerance,
                    reference.dtype == Dtype::float64, result, sums);
  }
  result.passed = result.missed == 0;
  if (result.size == 0) return result;
  if (sums.misplaced != 0) {
    result.reason = "NaN or infinity in other places (" + std::to_string(sums.misplaced) + ")";
  } else if (result.missed != 0) {
    result.reason = "outside atol " + short_number(tolerance.atol) + " + rtol " + short_number(tolerance.rtol);
    if (tolerance.noise != 0) result.reason += " + noise " + short_number(tolerance.noise);
  }
  result.has_worst = true;
  result.worst_index = place(sums.worst, reference.shape);
  result.worst_ours = long_number(float_at(ours, sums.worst));
  result.worst_reference = long_number(float_at(reference, sums.worst));
  result.p99_abs_error = percentile99(std::move(sums.errors));
  // As wide as the errors are in Python, or ties would be printed otherwise.
  if (reference.dtype != Dtype::float64) result.p99_abs_error = static_cast<float>(result.p99_abs_error);
  result.cosine = cosine_of(sums.product, sums.ours, sums.reference);
  return result;
}

}  // namespace

Tolerance default_tolerance(Dtype dtype) {
  switch (dtype) {
    case Dtype::float64:
      return {1e-7, 1e-7, 0};
    case Dtype::float32:
      return {1.3e-6, 1e-5, 0};
    case Dtype::float16:
      return {1e-3, 1e-5, 0};
    case Dtype::bfloat16:
      return {1.6e-2, 1e-5, 0};
    default:
      return {0, 0, 0};
  }
}

Comparison compare_output(const std::string& name, const Tensor& ours, const Tensor& reference,
                          const Tolerance& tolerance) {
  Comparison result;
  result.name = name;
  result.size = reference.count;
  if (ours.dtype != reference.dtype) {
    result.reason = std::string("dtype ") + dtype_name(ours.dtype) + " instead of " + dtype_name(reference.dtype);
    return result;
  }
  if (ours.shape != reference.shape) {
    result.reason = (ours.shape.size() == reference.shape.size() ? "shape" : "rank") + std::string(" differs: [") +
                    join(ours.shape, ", ") + "] instead of [" + join(reference.shape, ", ") + "]";
    return result;
  }
  if (!is_float(reference.dtype)) return compare_exact(std::move(result), ours, reference);
  return compare_floats(std::move(result), ours, reference, tolerance);
}

std::string format_row(const Comparison& row) {
  std::string text = row.name + ": " + (row.passed ? "ok" : "DIFFERS");
  if (!row.reason.empty()) text += "; " + row.reason;
  if (row.has_worst) {
    text += "; max abs error " + short_number(row.max_abs_error) + ", max rel error " + short_number(row.max_rel_error);
    text += "; worst at [" + row.worst_index + "]: ours " + row.worst_ours + ", reference " + row.worst_reference;
    char cosine[32];
    std::snprintf(cosine, sizeof cosine, "%.9f", row.cosine);
    text += "; p99 " + short_number(row.p99_abs_error) + ", cosine " + cosine;
    text += "; " + std::to_string(row.missed) + " of " + std::to_string(row.size) + " elements missed";
  }
  if (row.signed_zeros != 0) text += "; " + std::to_string(row.signed_zeros) + " zeros differ in sign";
  return text;
}

}  // namespace tl
