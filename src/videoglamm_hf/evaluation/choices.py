"""What can be chosen, apart from what does it, so that the command line can name it without importing that."""

BENCHMARKS = (
    *("mevis", "ref-youtube-vos", "ref-davis17", "revos", "reasonvos"),
    *("vidstg", "hc-stvg", "refcoco", "refcoco+", "refcocog", "gcg", "folder"),
)
# Their data's folder is one split.
WITHOUT_SPLITS = ("mevis", "ref-davis17", "reasonvos")
# Which benchmarks an option is for; any other would be left unsaid.
ONLY_FOR = {
    "moments": ("vidstg", "hc-stvg"),
    "text_encoder": ("gcg", "folder"),
    "judge": ("gcg", "folder"),
    "objects": ("mevis", "ref-youtube-vos", "revos", "reasonvos", "refcoco", "refcoco+", "refcocog"),
}
OBJECTS = ("last", "first", "all")
