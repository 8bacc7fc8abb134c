"""What one can choose from where a model is loaded, by name; in a module of its own, for it needs no torch."""

DTYPES = ("float32", "float16", "bfloat16")
# From the largest to the smallest.
QUANTIZATIONS = ("none", "8bit", "nf4")
