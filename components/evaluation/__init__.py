"""How good a model is, in confusion matrices of integer counts, and whether that is enough."""
