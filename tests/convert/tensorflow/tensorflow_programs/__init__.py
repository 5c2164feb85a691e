"""Small TensorFlow programs, each saved as a SavedModel by the tests, that show how TensorFlow's operators fare."""
