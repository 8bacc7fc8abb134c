"""What can be chosen, apart from what does it, so that the command line can name it without importing that."""

SCORED = ("mevis", "ref-davis17")
EVALUATED = ("mevis", "ref-davis17")
OBJECTS = ("last", "first", "all")
