"""From a difference to the node that makes it, and to the smallest graph that shows it."""
