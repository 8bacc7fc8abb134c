"""`ConfigTester` on the two configurations."""

import unittest

from tests.common_suites import small_models
from tests.common_suites.source import suite, suite_version
from videoglamm_hf import InternVideo2Config, VideoGlammConfig

common = suite("test_configuration_common")


class _Tester:
    """The part of a model tester that `ConfigTester` looks at."""

    @staticmethod
    def get_config() -> VideoGlammConfig:
        return small_models.model_config()


class VideoGlammConfigTest(unittest.TestCase):
    model_tester = _Tester()

    @unittest.skipIf(suite_version() == "5.17.0", "Sam2VideoConfig of 5.17 reads a mask decoder as a prompt encoder")
    def test_config(self) -> None:
        tester = common.ConfigTester(self, config_class=VideoGlammConfig, has_text_modality=False, seg_token_id=7)
        tester.run_common_tests()


class InternVideo2ConfigTest(unittest.TestCase):
    model_tester = _Tester()

    def test_config(self) -> None:
        tester = common.ConfigTester(
            self, config_class=InternVideo2Config, has_text_modality=False, hidden_size=32, num_frames=2
        )
        tester.run_common_tests()
