# What our library and tool link in place of ONNX Runtime's library: TRANSLOAD_ONNXRUNTIME_LINK, and the folder where
# they look for the real one, TRANSLOAD_ONNXRUNTIME_FOLDER.
#
# On Linux ONNX Runtime gives its one symbol the version of the release (OrtGetApiBase@VERS_1.31.1). A program linked
# against that asks for it, and the system's loader refuses every other release, older or newer, before the program
# can say anything. Linked against a library of the same name (SONAME) without versions it takes any release.
set(TRANSLOAD_ONNXRUNTIME_LINK OnnxRuntime::OnnxRuntime)
set(soname "")
set(library "${ONNXRUNTIME_LIBRARY}")
if(TARGET onnxruntime::onnxruntime)
  get_target_property(library onnxruntime::onnxruntime LOCATION)
endif()
if(library AND CMAKE_READELF)
  get_filename_component(TRANSLOAD_ONNXRUNTIME_FOLDER "${library}" DIRECTORY)
  get_filename_component(library "${library}" REALPATH)
  execute_process(COMMAND "${CMAKE_READELF}" --dynamic "${library}" OUTPUT_VARIABLE dynamic ERROR_QUIET)
  if(dynamic MATCHES "\\(SONAME\\)[^[]*\\[([^]]+)\\]")
    set(soname "${CMAKE_MATCH_1}")
  endif()
endif()

if(soname)
  set(folder "${PROJECT_BINARY_DIR}/stand_in")
  add_library(transload_stand_in SHARED cmake/stand_in.c)
  set_target_properties(transload_stand_in PROPERTIES PREFIX "" OUTPUT_NAME "${soname}" SUFFIX ""
    LIBRARY_OUTPUT_DIRECTORY "${folder}")
  # CMake would put the folder of a target into the programs' search path.
  set(TRANSLOAD_ONNXRUNTIME_LINK "-L${folder}" "-l:${soname}")
endif()

# Links `target` with ONNX Runtime, of any release where that can be.
function(link_onnxruntime target)
  target_link_libraries(${target} PRIVATE ${TRANSLOAD_ONNXRUNTIME_LINK})
  if(TARGET transload_stand_in)
    add_dependencies(${target} transload_stand_in)
    set_target_properties(${target} PROPERTIES BUILD_RPATH "${TRANSLOAD_ONNXRUNTIME_FOLDER}"
      INSTALL_RPATH "${TRANSLOAD_ONNXRUNTIME_FOLDER}")
  else()
    set_target_properties(${target} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  endif()
endfunction()
