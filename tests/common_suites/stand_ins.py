"""Stand-ins for the modules that the flat suites import and a source distribution does not hold."""

import sys
from pathlib import Path
from types import ModuleType

from tests.common_suites import media

# Settings every config takes, each unlike its default: what `ConfigTester` hands in and looks for.
COMMON_CONFIG_SETTINGS = {
    "return_dict": False,
    "output_hidden_states": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 3,
    "problem_type": "single_label_classification",
}


class ExportTesterMixin:
    """Adds no test."""


class GenerationTesterMixin:
    """Adds no test."""


_CONTENTS = {
    "exporters.test_export": {"ExportTesterMixin": ExportTesterMixin},
    "generation.test_utils": {"GenerationTesterMixin": GenerationTesterMixin},
    "utils.test_configuration_utils": {"config_common_kwargs": COMMON_CONFIG_SETTINGS},
}


def stand_in_for_missing(package: str, folder: Path) -> None:
    """Registers a stand-in for every module above that the folder of the package lacks."""
    for name, contents in _CONTENTS.items():
        if (folder / f"{name.replace('.', '/')}.py").is_file():
            continue
        parent, _, _ = name.rpartition(".")
        above = sys.modules.setdefault(f"{package}.{parent}", ModuleType(f"{package}.{parent}"))
        above.__path__ = []
        module = ModuleType(f"{package}.{name}")
        vars(module).update(contents)
        sys.modules[module.__name__] = module
    # Imported by its bare name, from a folder beside `tests` that an sdist lacks.
    sys.modules.setdefault("fetch_hub_objects_for_ci", media)
