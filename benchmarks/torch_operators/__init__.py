"""Every operator of torch's own test database through our TorchScript translator: `make conformance`."""
