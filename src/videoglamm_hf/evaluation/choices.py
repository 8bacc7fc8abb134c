"""What can be chosen, apart from what does it, so that the command line can name it without importing that."""

BENCHMARKS = (
    *("mevis", "ref-youtube-vos", "ref-davis17", "revos", "reasonvos"),
    *("vidstg", "hc-stvg", "refcoco", "refcoco+", "refcocog", "gcg", "folder"),
)
OBJECTS = ("last", "first", "all")
