"""Running a package with ONNX Runtime; imports neither PyTorch nor TensorFlow."""
