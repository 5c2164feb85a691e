/* transload's C interface: open a package, run its models. C99; no call throws, prints or ends the program.
 *
 * Every call that can fail returns a tl_status and takes, last, a place for an error (or NULL). Where it is filled, free
 * it with tl_error_free. Handles are opaque; each *_free and *_close takes NULL too. Text is UTF-8 and ends with a zero;
 * text and arrays that a function returns live as long as the handle that they came from.
 *
 * One tl_package or tl_model may be used from several threads at once; every other handle by one thread at a time.
 */
#ifndef TRANSLOAD_TRANSLOAD_H
#define TRANSLOAD_TRANSLOAD_H

#include <stddef.h>
#include <stdint.h>

#if defined(TRANSLOAD_STATIC)
#define TL_API
#elif defined(_WIN32)
#define TL_API __declspec(dllimport)
#else
#define TL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are the exit statuses of the commands. */
typedef enum tl_status {
  TL_OK = 0,
  TL_MISMATCH = 1,    /* outputs differ */
  TL_USAGE = 2,       /* a wrong name, dtype, shape, option or path */
  TL_UNSUPPORTED = 3, /* ONNX Runtime has no kernel for an operator */
  TL_PACKAGE = 4,     /* the package is damaged or breaks a rule of its format */
  TL_EXECUTION = 5    /* ONNX Runtime failed */
} tl_status;

/* ONNX's own numbers. Two 4-bit elements share a byte, the first in its low half. */
typedef enum tl_dtype {
  TL_FLOAT32 = 1,
  TL_UINT8 = 2,
  TL_INT8 = 3,
  TL_UINT16 = 4,
  TL_INT16 = 5,
  TL_INT32 = 6,
  TL_INT64 = 7,
  TL_STRING = 8,
  TL_BOOL = 9,
  TL_FLOAT16 = 10,
  TL_FLOAT64 = 11,
  TL_UINT32 = 12,
  TL_UINT64 = 13,
  TL_BFLOAT16 = 16,
  TL_FLOAT8_E4M3FN = 17,
  TL_FLOAT8_E4M3FNUZ = 18,
  TL_FLOAT8_E5M2 = 19,
  TL_FLOAT8_E5M2FNUZ = 20,
  TL_UINT4 = 21,
  TL_INT4 = 22
} tl_dtype;

/* What is checked of a package's content. */
typedef enum tl_integrity {
  TL_INTEGRITY_NONE = 0,  /* structure only */
  TL_INTEGRITY_CRC32 = 1, /* and the CRC-32 of each member when it is used */
  TL_INTEGRITY_SHA256 = 2 /* and the SHA-256 of every member on opening */
} tl_integrity;

typedef struct tl_error tl_error;
typedef struct tl_package tl_package;
typedef struct tl_options tl_options;
typedef struct tl_model tl_model;
typedef struct tl_tensor_info tl_tensor_info;
typedef struct tl_tensor tl_tensor;
typedef struct tl_binding tl_binding;
typedef struct tl_stream tl_stream;

/* The version of this library, "0.1.0", and of the ONNX Runtime that it runs with. */
TL_API const char* tl_version(void);
TL_API const char* tl_runtime_version(void);

/* --- errors: what happened, where, what to do next; the member of the package and the rule of docs/format.md.
 * Fields that do not apply are "". --- */
TL_API tl_status tl_error_status(const tl_error* error);
TL_API const char* tl_error_message(const tl_error* error);
TL_API const char* tl_error_where(const tl_error* error);
TL_API const char* tl_error_hint(const tl_error* error);
TL_API const char* tl_error_member(const tl_error* error);
TL_API const char* tl_error_rule(const tl_error* error);
TL_API void tl_error_free(tl_error* error);

/* --- packages --- */
TL_API tl_status tl_package_open(const char* path, tl_integrity integrity, tl_package** package, tl_error** error);
TL_API void tl_package_close(tl_package* package);
TL_API const char* tl_package_name(const tl_package* package);
/* SHA-256 of the manifest, which holds the SHA-256 of all else. */
TL_API const char* tl_package_digest(const tl_package* package);
TL_API size_t tl_package_component_count(const tl_package* package);
/* NULL past the end. */
TL_API const char* tl_package_component_name(const tl_package* package, size_t index);
/* Reads and checks all that the components are made of: models, weights, interfaces, vectors. */
TL_API tl_status tl_package_check(const tl_package* package, tl_error** error);

/* --- options of a model, as words. Keys: "device" (auto, cpu, cuda, cuda:N), "threads" (a number; 0 leaves the choice to
 * ONNX Runtime), "optimize" (0 or 1: graph optimisations), "prepack" (0 or 1: copies of weights for faster kernels),
 * "tuned" (0 or 1: a variant that `transload tune` made for this host is used where there is one), "library" (a shared
 * library of operators, for a component whose interface declares domains of such, and not opened for any other; its code
 * runs; may be set several times). --- */
TL_API tl_status tl_options_create(tl_options** options, tl_error** error);
TL_API tl_status tl_options_set(tl_options* options, const char* key, const char* value, tl_error** error);
TL_API void tl_options_free(tl_options* options);

/* --- models: one component, ready to run. `component` may be NULL where the package has one only; `options` may be NULL.
 * The package may be closed when this has returned. --- */
TL_API tl_status tl_model_open(const tl_package* package, const char* component, const tl_options* options,
                               tl_model** model, tl_error** error);
TL_API void tl_model_close(tl_model* model);

/* Which build of the component runs: "portable", or "tuned" where there is one for this host. */
TL_API const char* tl_model_variant(const tl_model* model);

/* Inputs and outputs in the interface's order, state last. NULL past the end. */
TL_API size_t tl_model_input_count(const tl_model* model);
TL_API size_t tl_model_output_count(const tl_model* model);
/* How many of the outputs, the first ones, are not state alone. */
TL_API size_t tl_model_result_count(const tl_model* model);
TL_API const tl_tensor_info* tl_model_input(const tl_model* model, size_t index);
TL_API const tl_tensor_info* tl_model_output(const tl_model* model, size_t index);
/* The position of a tensor by its name, or by its path in the source's structure ("boxes/0/scores"). */
TL_API tl_status tl_model_find_input(const tl_model* model, const char* name, size_t* index, tl_error** error);
TL_API tl_status tl_model_find_output(const tl_model* model, const char* name, size_t* index, tl_error** error);

TL_API const char* tl_tensor_info_name(const tl_tensor_info* info);
TL_API tl_dtype tl_tensor_info_dtype(const tl_tensor_info* info);
/* -1 where it is not known. */
TL_API int64_t tl_tensor_info_rank(const tl_tensor_info* info);
/* A size, or -1 where it is dynamic or not known; its name then, or "". */
TL_API int64_t tl_tensor_info_dim(const tl_tensor_info* info, size_t axis);
TL_API const char* tl_tensor_info_dim_name(const tl_tensor_info* info, size_t axis);

/* --- tensors: row-major --- */
/* Zeros in memory of the library. */
TL_API tl_status tl_tensor_create(tl_dtype dtype, const int64_t* shape, size_t rank, tl_tensor** tensor,
                                  tl_error** error);
/* Over the caller's memory, which is not copied and must outlive the tensor and every binding of it. */
TL_API tl_status tl_tensor_wrap(tl_dtype dtype, const int64_t* shape, size_t rank, void* data, size_t size_bytes,
                                tl_tensor** tensor, tl_error** error);
/* Strings are copied; `count` must be the product of `shape`. */
TL_API tl_status tl_tensor_create_strings(const int64_t* shape, size_t rank, const char* const* strings, size_t count,
                                          tl_tensor** tensor, tl_error** error);
TL_API void tl_tensor_free(tl_tensor* tensor);
TL_API tl_dtype tl_tensor_dtype(const tl_tensor* tensor);
TL_API size_t tl_tensor_rank(const tl_tensor* tensor);
TL_API const int64_t* tl_tensor_shape(const tl_tensor* tensor);
TL_API size_t tl_tensor_count(const tl_tensor* tensor);
TL_API size_t tl_tensor_size_bytes(const tl_tensor* tensor);
/* NULL for strings. */
TL_API void* tl_tensor_data(const tl_tensor* tensor);
/* NULL past the end, or where these are no strings. */
TL_API const char* tl_tensor_string(const tl_tensor* tensor, size_t index, size_t* size_bytes);

/* --- running. Names are tensor names or paths. `output_names` may be NULL: all outputs, in order. `outputs` receives
 * `output_count` new tensors, or none on an error. State that is left out begins at its initial value. --- */
TL_API tl_status tl_model_run(const tl_model* model, const char* const* input_names, const tl_tensor* const* inputs,
                              size_t input_count, const char* const* output_names, size_t output_count,
                              tl_tensor** outputs, tl_error** error);

/* --- bindings: inputs and outputs fixed once, for repeated calls that allocate nothing of ours --- */
TL_API tl_status tl_binding_create(const tl_model* model, tl_binding** binding, tl_error** error);
TL_API tl_status tl_binding_set_input(tl_binding* binding, const char* name, const tl_tensor* tensor, tl_error** error);
/* Without one, the library allocates the output at the first run and writes there again. */
TL_API tl_status tl_binding_set_output(tl_binding* binding, const char* name, const tl_tensor* tensor,
                                       tl_error** error);
TL_API tl_status tl_binding_run(tl_binding* binding, tl_error** error);
/* A new handle of an output's tensor, which the next run overwrites. */
TL_API tl_status tl_binding_output(const tl_binding* binding, const char* name, tl_tensor** tensor, tl_error** error);
TL_API void tl_binding_free(tl_binding* binding);

/* --- streams: calls in a row that carry the model's state along. As tl_model_run; NULL names mean the
 * first tl_model_result_count outputs. --- */
TL_API tl_status tl_stream_create(const tl_model* model, tl_stream** stream, tl_error** error);
TL_API tl_status tl_stream_run(tl_stream* stream, const char* const* input_names, const tl_tensor* const* inputs,
                               size_t input_count, const char* const* output_names, size_t output_count,
                               tl_tensor** outputs, tl_error** error);
TL_API void tl_stream_reset(tl_stream* stream);
TL_API void tl_stream_free(tl_stream* stream);

#ifdef __cplusplus
}
#endif

#endif /* TRANSLOAD_TRANSLOAD_H */
