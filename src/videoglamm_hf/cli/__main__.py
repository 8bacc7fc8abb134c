"""`python -m videoglamm_hf.cli`, for launchers such as torchrun."""

import sys

from . import main

sys.exit(main())
