"""How well a classifier does: from labels, and from its predictions alone."""
