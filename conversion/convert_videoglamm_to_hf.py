"""Converts an original VideoGLaMM checkpoint; the same as `videoglamm convert`. See --help."""

import sys

from videoglamm_hf.cli import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
