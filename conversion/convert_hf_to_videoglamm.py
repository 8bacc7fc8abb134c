"""Writes a model back in the original's layout; the same as `videoglamm export`. See --help."""

import sys

from videoglamm_hf.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
