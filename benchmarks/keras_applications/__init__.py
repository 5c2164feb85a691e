"""Every model of keras.applications: converted, proven, and measured beside raw tf2onnx."""
