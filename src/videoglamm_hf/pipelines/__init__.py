"""Pipelines of transformers for what this model does beyond words."""
