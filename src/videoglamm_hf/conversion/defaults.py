"""What is taken where neither a checkpoint nor an option says it."""

PUBLISHED_CLIP = "openai/clip-vit-large-patch14-336"
# Of the original's training; a training state does not say.
DEFAULT_ALPHA = 16
