"""How well masks agree with the ground truth."""
