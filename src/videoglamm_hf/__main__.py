"""`python -m videoglamm_hf`: the command line, for launchers such as torchrun."""

import sys

from .cli import main

sys.exit(main())
