"""The mutation suite: faults planted in captured graphs, each of which the equivalence check has to find."""
