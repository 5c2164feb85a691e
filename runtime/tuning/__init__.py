"""Host-tuned variants: finding the fastest configuration on this machine, storing it, and loading it again."""
