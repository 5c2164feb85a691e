/* Stands in for ONNX Runtime's library when ours is linked; never loaded. See stand_in.cmake. */
const void* OrtGetApiBase(void) { return 0; }
