"""transformers' own common test suites, run on our classes; `source` says where they come from."""
