"""Capturing PyTorch sources: TorchScript files, modules and exported programs."""
