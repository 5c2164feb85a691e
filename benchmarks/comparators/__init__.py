"""`transload compare` beside polygraphy's comparison of two ONNX files, on the same pairs."""
