"""Comparing any two models: packages, ONNX files and sources of the frameworks."""
