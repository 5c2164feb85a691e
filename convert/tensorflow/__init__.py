"""Front ends for TensorFlow's files, with tf2onnx as the operator library. TensorFlow is imported only below here."""
