"""Our classes in the Auto* classes of transformers, and our pipeline in its table of tasks.

Both are known as soon as the module that asks for them is there, and imported when they are asked for: importing them
takes torch and transformers. They must not be imported earlier, at the end of an import of transformers: it still
holds that module, and ours need modules that another thread may hold while it waits for this one.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = __name__.partition(".")[0]
_VIDEOGLAMM = f"{_PACKAGE}.configuration_videoglamm.VideoGlammConfig"
_INTERNVIDEO2 = f"{_PACKAGE}.configuration_internvideo2.InternVideo2Config"


class _UnderWay(threading.local):
    """Names that this thread is registering."""

    def __init__(self) -> None:
        self.names: set[object] = set()


class _LazyTable(dict):
    """A table of transformers with entries of ours, which are registered when they are looked up or all are listed.

    Args:
        table: What the table holds already.
        entries: What registers an entry, by its key: by where it is, if that is a class.
    """

    def __init__(self, table: dict, entries: dict[str, Callable[[], None]]) -> None:
        super().__init__(table)
        self._entries = entries
        self._under_way = _UnderWay()

    def _offers(self, name: object) -> bool:
        # Whoever registers an entry looks first whether the table has it.
        return name in self._entries and name not in self._under_way.names

    def _register(self, name: str) -> None:
        self._under_way.names.add(name)
        try:
            self._entries[name]()
        finally:
            self._under_way.names.remove(name)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._offers(_name(key))

    def __missing__(self, key: object) -> Any:
        if not self._offers(_name(key)):
            raise KeyError(key)
        self._register(_name(key))
        return self[key]

    def _whole(self) -> Any:
        registered = set(map(_name, super().keys()))
        for name in self._entries.keys() - registered - self._under_way.names:
            self._register(name)
        return super()

    def __iter__(self) -> Iterator:
        return self._whole().__iter__()

    def __len__(self) -> int:
        return self._whole().__len__()

    def keys(self):
        return self._whole().keys()

    def values(self):
        return self._whole().values()

    def items(self):
        return self._whole().items()


def _name(key: object) -> object:
    """Tells a class without importing it, and from one of the same name in a model's own code."""
    return f"{key.__module__}.{key.__qualname__}" if isinstance(key, type) else key


def _import(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _offer(mapping: Any, entries: dict[str, Callable[[], None]]) -> None:
    """Adds entries to what an Auto* mapping holds beside transformers' own."""
    mapping._extra_content = _LazyTable(mapping._extra_content, entries)


def _configs(auto: ModuleType) -> None:
    register = auto.AutoConfig.register
    videoglamm = {"videoglamm": lambda: register("videoglamm", _import(_VIDEOGLAMM))}
    internvideo2 = {"internvideo2": lambda: register("internvideo2", _import(_INTERNVIDEO2))}
    _offer(auto.CONFIG_MAPPING, videoglamm | internvideo2)


def _models(auto: ModuleType) -> None:
    def model(auto_class: Any) -> Callable[[], None]:
        return lambda: auto_class.register(
            _import(_VIDEOGLAMM), _import(f"{_PACKAGE}.modeling_videoglamm.VideoGlammForGroundedGeneration")
        )

    def tower() -> None:
        auto.AutoModel.register(_import(_INTERNVIDEO2), _import(f"{_PACKAGE}.modeling_internvideo2.InternVideo2Model"))

    _offer(auto.AutoModel._model_mapping, {_VIDEOGLAMM: model(auto.AutoModel), _INTERNVIDEO2: tower})
    # AutoModel gives the class that generates: there is no use for VideoGLaMM without its heads.
    for auto_class in (auto.AutoModelForImageTextToText, auto.AutoModelForMultimodalLM):
        _offer(auto_class._model_mapping, {_VIDEOGLAMM: model(auto_class)})


def _image_processor(auto: ModuleType) -> None:
    def register() -> None:
        found = _import(f"{_PACKAGE}.image_processing_videoglamm.VideoGlammImageProcessor")
        classes = dict.fromkeys(("pil", "torchvision"), found)
        auto.AutoImageProcessor.register(_import(_VIDEOGLAMM), image_processor_classes=classes)

    _offer(auto.IMAGE_PROCESSOR_MAPPING, {_VIDEOGLAMM: register})


def _video_processor(auto: ModuleType) -> None:
    def register() -> None:
        found = _import(f"{_PACKAGE}.video_processing_videoglamm.VideoGlammVideoProcessor")
        auto.AutoVideoProcessor.register(_import(_VIDEOGLAMM), found)

    _offer(auto.VIDEO_PROCESSOR_MAPPING, {_VIDEOGLAMM: register})


def _processor(auto: ModuleType) -> None:
    def register() -> None:
        found = _import(f"{_PACKAGE}.processing_videoglamm.VideoGlammProcessor")
        auto.AutoProcessor.register(_import(_VIDEOGLAMM), found)

    _offer(auto.PROCESSOR_MAPPING, {_VIDEOGLAMM: register})


def _pipeline(pipelines: ModuleType) -> None:
    task, registry = "video-text-to-text", pipelines.PIPELINE_REGISTRY

    def register() -> None:
        found = _import(f"{_PACKAGE}.pipelines.video_text_to_text.VideoTextToTextPipeline")
        model = _import("transformers.AutoModelForImageTextToText")
        registry.register_pipeline(task, found, pt_model=model, type="multimodal")

    if task not in registry.supported_tasks:
        registry.supported_tasks = _LazyTable(registry.supported_tasks, {task: register})


class _Registration(MetaPathFinder):
    """Finds modules as the finders after it do, and adds to the tables of one as soon as it has been executed."""

    def __init__(self) -> None:
        self.pending: dict[str, Callable[[ModuleType], None]] = {
            "transformers.models.auto.configuration_auto": _configs,
            "transformers.models.auto.modeling_auto": _models,
            "transformers.models.auto.image_processing_auto": _image_processor,
            "transformers.models.auto.video_processing_auto": _video_processor,
            "transformers.models.auto.processing_auto": _processor,
            "transformers.pipelines": _pipeline,
        }

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.pending or self not in sys.meta_path:
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        found = (finder.find_spec(name, path, target) for finder in others if hasattr(finder, "find_spec"))
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                self.register(name, module)

            spec.loader.exec_module = executed
        return spec

    def register(self, name: str, module: ModuleType) -> None:
        """Adds to the tables of a module that is whole. The last one ends the watch."""
        if add := self.pending.pop(name, None):
            add(module)
        if not self.pending and self in sys.meta_path:
            sys.meta_path.remove(self)


def register_when_needed() -> None:
    """Registers with the modules that are loaded already, and with the others when they are."""
    registration = _Registration()
    sys.meta_path.insert(0, registration)
    for name in [name for name in registration.pending if name in sys.modules]:
        # Another thread may be in the middle of it; importing waits for that.
        registration.register(name, import_module(name))
