/* Run a package with one float32 input of one row, from C99.
 *
 *   scores m.tload 1.0 2.0 3.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <transload/transload.h>

static int fail(tl_status status, tl_error* error) {
  fprintf(stderr, "%s\n%s\n", error ? tl_error_message(error) : "out of memory", error ? tl_error_hint(error) : "");
  tl_error_free(error);
  return (int)status;
}

static tl_status open_model(const char* path, tl_model** model, tl_error** error) {
  tl_package* package = NULL;
  tl_status status = tl_package_open(path, TL_INTEGRITY_CRC32, &package, error);
  if (status == TL_OK) status = tl_model_open(package, NULL, NULL, model, error);
  tl_package_close(package);
  return status;
}

static tl_status run_row(const tl_model* model, float* row, size_t count, tl_tensor** scores, tl_error** error) {
  const int64_t shape[2] = {1, (int64_t)count};
  const char* name = tl_tensor_info_name(tl_model_input(model, 0));
  const tl_tensor* input = NULL;
  tl_tensor* tensor = NULL;
  tl_status status = tl_tensor_wrap(TL_FLOAT32, shape, 2, row, count * sizeof(float), &tensor, error);
  if (status == TL_OK) {
    input = tensor;
    status = tl_model_run(model, &name, &input, 1, NULL, 1, scores, error);
  }
  tl_tensor_free(tensor);
  return status;
}

int main(int count, char** words) {
  tl_model* model = NULL;
  tl_tensor* scores = NULL;
  tl_error* error = NULL;
  tl_status status;
  float* row;
  size_t index;
  const size_t width = count > 2 ? (size_t)count - 2 : 0;
  if (width == 0) {
    fprintf(stderr, "usage: scores PACKAGE NUMBER ...\n");
    return 2;
  }
  row = malloc(width * sizeof(float));
  if (row == NULL) return 5;
  for (index = 0; index < width; ++index) row[index] = (float)atof(words[index + 2]);
  status = open_model(words[1], &model, &error);
  if (status == TL_OK) status = run_row(model, row, width, &scores, &error);
  if (status == TL_OK) {
    const float* values = tl_tensor_data(scores);
    for (index = 0; index < tl_tensor_count(scores); ++index) printf("%g\n", values[index]);
  }
  tl_tensor_free(scores);
  tl_model_close(model);
  free(row);
  return status == TL_OK ? 0 : fail(status, error);
}
