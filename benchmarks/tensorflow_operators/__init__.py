"""Small TensorFlow programs through our front end and through tf2onnx alone: `make conformance-tensorflow`."""
