"""Converts an original VideoGLaMM checkpoint; the same as `videoglamm convert`. See --help."""

import sys

from videoglamm_hf.conversion.convert import main

if __name__ == "__main__":
    sys.exit(main())
