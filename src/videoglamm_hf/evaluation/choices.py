"""What can be chosen, apart from what does it, so that the command line can name it without importing that."""

BENCHMARKS = ("mevis", "ref-davis17", "vidstg", "hc-stvg", "refcoco", "refcoco+", "refcocog", "gcg", "folder")
OBJECTS = ("last", "first", "all")
