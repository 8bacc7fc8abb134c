"""How sure an answer is: probabilities learned from held-out data, beside the scores that the model gives.

What applies them travels with a model (answer_scores.py, calibration_file.py, calibration_videoglamm.py); here is what
makes and measures them.
"""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .calibrating import CalibrationResult, calibrate
    from .report import write_calibration_report

__getattr__, __dir__, __all__ = lazy_exports(__name__)
