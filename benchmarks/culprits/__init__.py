"""How often `transload debug` names the node in which a fault was planted."""
