"""What data can be made of. Imports nothing, for the command line's help."""

SOURCES = ("mevis", "ref-youtube-vos", "vidstg", "hc-stvg", "anet-entities", "youtube-vis", "burst", "jsonl")
BOXES_ONLY = ("vidstg", "hc-stvg", "anet-entities")  # have no masks
