"""The package: archive, manifest, interface, weights and vectors. Imports nothing else of transload."""
