"""Compiling what sees: the towers, the image encoder, and the pixel decoder's mask decoder and memory encoder."""

from collections.abc import Iterator
from typing import Any

from torch import nn


class VisionCompilationMixin:
    """`compile_vision` of [`VideoGlammForGroundedGeneration`]."""

    def compile_vision(self, **options: Any) -> None:
        """Lets PyTorch compile the networks that see, in place; the first answer then waits for the compiler.

        Results stay the same but for rounding. Layers of a tower share one graph. What PyTorch compiled it keeps on
        disk, for the next process. It pays for many answers on a GPU; `torch.compiler.set_stance("force_eager")`
        switches it off again.

        Args:
            options: Of `torch.nn.Module.compile` (`mode`, `backend`, `dynamic`, ...).
        """
        for module in self._vision_modules():
            module.compile(**options)

    def _vision_modules(self) -> Iterator[nn.Module]:
        yield from self.model.spatial_tower.encoder.layers
        yield from self.model.temporal_tower.layers
        decoder = self.pixel_decoder
        yield from (decoder.vision_encoder, decoder.mask_decoder, decoder.memory_encoder)
