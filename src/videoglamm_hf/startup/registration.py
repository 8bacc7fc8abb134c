"""Our classes in the Auto* classes of transformers, registered as soon as an Auto* class is there to ask; so is our
pipeline.

Registering imports our classes, and they import torch and transformers. So `import videoglamm_hf` only watches what is
imported of transformers and of this package. In the middle of such an import something is half imported; when the
outermost one has ended, the classes of every Auto* module that came with it are registered. The watch ends with the
last of them.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_WATCHED = ("transformers", __name__.partition(".")[0])


def _configs(auto: ModuleType) -> None:
    from ..configuration_internvideo2 import InternVideo2Config
    from ..configuration_videoglamm import VideoGlammConfig

    auto.AutoConfig.register("internvideo2", InternVideo2Config)
    auto.AutoConfig.register("videoglamm", VideoGlammConfig)


def _models(auto: ModuleType) -> None:
    from ..configuration_internvideo2 import InternVideo2Config
    from ..configuration_videoglamm import VideoGlammConfig
    from ..modeling_internvideo2 import InternVideo2Model
    from ..modeling_videoglamm import VideoGlammForGroundedGeneration

    auto.AutoModel.register(InternVideo2Config, InternVideo2Model)
    # AutoModel gives the class that generates: there is no use for VideoGLaMM without its heads.
    for auto_class in (auto.AutoModel, auto.AutoModelForImageTextToText, auto.AutoModelForMultimodalLM):
        auto_class.register(VideoGlammConfig, VideoGlammForGroundedGeneration)


def _image_processor(auto: ModuleType) -> None:
    from ..configuration_videoglamm import VideoGlammConfig
    from ..image_processing_videoglamm import VideoGlammImageProcessor

    classes = dict.fromkeys(("pil", "torchvision"), VideoGlammImageProcessor)
    auto.AutoImageProcessor.register(VideoGlammConfig, image_processor_classes=classes)


def _video_processor(auto: ModuleType) -> None:
    from ..configuration_videoglamm import VideoGlammConfig
    from ..video_processing_videoglamm import VideoGlammVideoProcessor

    auto.AutoVideoProcessor.register(VideoGlammConfig, VideoGlammVideoProcessor)


def _processor(auto: ModuleType) -> None:
    from ..configuration_videoglamm import VideoGlammConfig
    from ..processing_videoglamm import VideoGlammProcessor

    auto.AutoProcessor.register(VideoGlammConfig, VideoGlammProcessor)


def _pipeline(pipelines: ModuleType) -> None:
    from transformers import AutoModelForImageTextToText

    from ..pipelines.video_text_to_text import VideoTextToTextPipeline

    task = "video-text-to-text"
    if task not in pipelines.PIPELINE_REGISTRY.get_supported_tasks():
        pipelines.PIPELINE_REGISTRY.register_pipeline(
            task, VideoTextToTextPipeline, pt_model=AutoModelForImageTextToText, type="multimodal"
        )


class _Registration(MetaPathFinder):
    """Finds modules as the finders after it do, and registers when an outermost watched import ends."""

    def __init__(self) -> None:
        self.pending: dict[str, Callable[[ModuleType], None]] = {
            "transformers.models.auto.configuration_auto": _configs,
            "transformers.models.auto.modeling_auto": _models,
            "transformers.models.auto.image_processing_auto": _image_processor,
            "transformers.models.auto.video_processing_auto": _video_processor,
            "transformers.models.auto.processing_auto": _processor,
            "transformers.pipelines": _pipeline,
        }
        self.imported = set(self.pending) & set(sys.modules)
        self.under_way = threading.local()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in _WATCHED or self not in sys.meta_path:
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        found = (finder.find_spec(name, path, target) for finder in others if hasattr(finder, "find_spec"))
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def watched(module: ModuleType) -> None:
                with self:
                    execute(module)
                    self.imported.add(name)

            spec.loader.exec_module = watched
        return spec

    def register(self) -> None:
        """Registers with every Auto* module that has been imported whole."""
        while ready := [name for name in self.pending if name in self.imported]:
            register = self.pending.pop(ready[0])
            # What registering imports is in the middle of it.
            with self:
                register(sys.modules[ready[0]])
        if not self.pending and self in sys.meta_path:
            sys.meta_path.remove(self)

    def __enter__(self) -> None:
        self.under_way.depth = getattr(self.under_way, "depth", 0) + 1

    def __exit__(self, failed: type | None, *_: object) -> None:
        self.under_way.depth -= 1
        if self.under_way.depth == 0 and failed is None:
            self.register()


def register_when_needed() -> None:
    """Registers with the Auto* modules that are loaded already, and with the others when they are."""
    registration = _Registration()
    sys.meta_path.insert(0, registration)
    registration.register()
