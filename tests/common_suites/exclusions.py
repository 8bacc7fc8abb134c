"""Tests of a suite that cannot apply to a class, each with its reason."""

import unittest
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase


def excluding(reasons: Mapping[str, str], *, may_be_absent: Mapping[str, str] | None = None) -> Callable[[type], type]:
    """Skips inherited tests of the decorated class.

    Args:
        reasons: Names of tests, or patterns of names, to one line each that says why they cannot apply.
        may_be_absent: The same, of tests that only some releases have.

    Raises:
        ValueError: If no test has a name in `reasons`: an exclusion is not to outlive its test.
    """

    def exclude(suite: type) -> type:
        tests = [name for name in dir(suite) if name.startswith("test_") and callable(getattr(suite, name))]
        for pattern, reason in {**reasons, **(may_be_absent or {})}.items():
            matching = [name for name in tests if fnmatchcase(name, pattern)]
            if not matching and pattern in reasons:
                raise ValueError(f"{suite.__name__} excludes {pattern}, and no test has that name.")
            for name in matching:
                setattr(suite, name, _skipped(name, reason))
        return suite

    return exclude


def _skipped(name: str, reason: str) -> Callable:
    @unittest.skip(reason)
    def test(self) -> None:
        """Excluded."""

    test.__name__ = name
    return test
