# What is installed: headers, both libraries, the tool, and what CMake and pkg-config need to find them.
include(CMakePackageConfigHelpers)

# The ONNX Runtime that this build used is the one that an installed package looks for first.
if(ONNXRUNTIME_LIBRARY)
  get_filename_component(ONNXRUNTIME_ROOT_HINT "${ONNXRUNTIME_LIBRARY}/../.." ABSOLUTE)
endif()
set(transload_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/transload")
install(TARGETS transload transload_static EXPORT transloadTargets)
install(DIRECTORY include/transload DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(TRANSLOAD_BUILD_TOOL)
  install(TARGETS transload-run)
endif()
install(EXPORT transloadTargets NAMESPACE transload:: DESTINATION "${transload_config_dir}")
configure_package_config_file(cmake/transloadConfig.cmake.in "${PROJECT_BINARY_DIR}/transloadConfig.cmake"
  INSTALL_DESTINATION "${transload_config_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/transloadConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/transloadConfig.cmake" "${PROJECT_BINARY_DIR}/transloadConfigVersion.cmake"
  cmake/FindOnnxRuntime.cmake cmake/FindLibdeflate.cmake DESTINATION "${transload_config_dir}")
# An installed package may be moved as a whole.
file(RELATIVE_PATH TRANSLOAD_PREFIX_FROM_PKGCONFIG "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/transload.pc.in "${PROJECT_BINARY_DIR}/transload.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/transload.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# For use from the build tree: find_package(transload) with -Dtransload_DIR=<build folder>.
export(EXPORT transloadTargets NAMESPACE transload:: FILE "${PROJECT_BINARY_DIR}/transloadTargets.cmake")
foreach(module FindOnnxRuntime FindLibdeflate)
  configure_file(cmake/${module}.cmake "${PROJECT_BINARY_DIR}/${module}.cmake" COPYONLY)
endforeach()
