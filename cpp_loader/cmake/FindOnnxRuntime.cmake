# Finds ONNX Runtime's C API: the target OnnxRuntime::OnnxRuntime.
#
# In this order: find_package(onnxruntime), the folder ONNXRUNTIME_ROOT (with include/ and lib/), the system's folders,
# and the SDK that tools/onnxruntime_sdk.sh assembles in build/onnxruntime-sdk of a checkout.
if(NOT TARGET OnnxRuntime::OnnxRuntime AND NOT ONNXRUNTIME_ROOT)
  find_package(onnxruntime CONFIG QUIET)
  if(TARGET onnxruntime::onnxruntime)
    add_library(OnnxRuntime::OnnxRuntime INTERFACE IMPORTED)
    target_link_libraries(OnnxRuntime::OnnxRuntime INTERFACE onnxruntime::onnxruntime)
  endif()
endif()

if(NOT TARGET OnnxRuntime::OnnxRuntime)
  get_filename_component(transload_sdk "${CMAKE_CURRENT_LIST_DIR}/../../build/onnxruntime-sdk" ABSOLUTE)
  find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_c_api.h HINTS "${ONNXRUNTIME_ROOT}" "$ENV{ONNXRUNTIME_ROOT}"
    PATHS "${transload_sdk}" PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session)
  find_library(ONNXRUNTIME_LIBRARY onnxruntime HINTS "${ONNXRUNTIME_ROOT}" "$ENV{ONNXRUNTIME_ROOT}"
    PATHS "${transload_sdk}" PATH_SUFFIXES lib lib64)
endif()

include(FindPackageHandleStandardArgs)
if(TARGET OnnxRuntime::OnnxRuntime)
  set(OnnxRuntime_FOUND TRUE)
else()
  find_package_handle_standard_args(OnnxRuntime REQUIRED_VARS ONNXRUNTIME_LIBRARY ONNXRUNTIME_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "Give -DONNXRUNTIME_ROOT=, or run tools/onnxruntime_sdk.sh.")
  if(OnnxRuntime_FOUND)
    add_library(OnnxRuntime::OnnxRuntime SHARED IMPORTED)
    set_target_properties(OnnxRuntime::OnnxRuntime PROPERTIES IMPORTED_LOCATION "${ONNXRUNTIME_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${ONNXRUNTIME_INCLUDE_DIR}"
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${ONNXRUNTIME_INCLUDE_DIR}")
  endif()
endif()
