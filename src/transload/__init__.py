"""transload: trained models out of PyTorch and TensorFlow, into one proven package, run anywhere."""
