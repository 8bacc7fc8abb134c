"""The stages of training, each a module whose forward is a loss, with the collator that feeds it.

1. `Towers`: the towers learn what is where and goes where, as published ones know it before training.
2. `Language`: the language model answers, and says the prompt codes at [SEG].
3. `Pixels`: the pixel decoder finds what a prompt code names, in single frames;
4. the same through memory, in parts of clips;
5. and in whole clips, the image encoder frozen;
6. `Clicks`: single frames with clicks, which start a mask or correct what a prompt code found;
7. and these through memory, some frames given as a person corrects them.

Shapes: B clips, T frames of a clip, N prompts of a clip, S side of a frame, K (prompt, frame) pairs, m candidate
masks of a pair, s side of low-resolution masks, L tokens.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from videoglamm_hf import VideoGlammForGroundedGeneration, VideoGlammProcessor
from videoglamm_hf.frame_sampling import tower_frame_indices
from videoglamm_hf.image_streams import (
    normalize_grounding_frames,
    spatial_stream,
    temporal_stream,
)
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.pixel_decoder import (
    FrameFeatures,
    ObjectMasks,
    decode_first_frame,
    decode_framewise,
    decode_region,
    decode_tracked_frame,
    encode_frames,
    new_memory_bank,
    remember,
    start_from_masks,
)
from videoglamm_hf.toy.shapes_world import (
    COLOURS,
    Scene,
    ShapesWorldConfig,
    ShapesWorldDataset,
    sample_scene_questions,
)

from .quieting import quiet_features
from .targets import (
    DenseHead,
    PromptCodes,
    dense_labels,
    draw_prompts,
    draw_shape_prompts,
    grey,
    prompt_masks,
    prompt_of,
)

IGNORED = -100
# Kinds whose scenes teach most of what is where.
SCENE_KINDS = ("same_colour", "same_shape", "referring", "size", "absent")
# Share of scenes whose colours are taken away where shapes are learnt.
GREY_RATE = 0.2
# How much quieter features become before clicks are learnt.
QUIETER = 1 / 8
# Share of colours that an answer is read without.
UNKNOWN_COLOUR_RATE = 0.3
# What the temporal tower is taught.
TEMPORAL_LABELS = ("colour", "shape", "place", "size", "largest", "smallest", "direction", "way")


class Scenes(Dataset):
    """Training scenes, of the given kinds in turn; None is a mixture of all."""

    def __init__(self, kinds: Sequence[str | None], length: int, config: ShapesWorldConfig, seed: int) -> None:
        self.length = length
        self.by_kind = [ShapesWorldDataset("train", kind, length=length, config=config, seed=seed) for kind in kinds]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Scene:
        return self.by_kind[index % len(self.by_kind)].scene(index)


class TowerBatches:
    """Clips of as many frames as the towers see, with dense labels on both towers' grids of patches.

    The spatial tower gets one frame of each, the temporal tower all.
    """

    def __init__(self, model: VideoGlammForGroundedGeneration) -> None:
        self.config, self.grids = model.config, tower_grids(model)

    def __call__(self, scenes: Sequence[Scene]) -> dict[str, Any]:
        generator = np.random.default_rng([scene.index for scene in scenes])
        videos, spatial, temporal, chosen = [], [], [], []
        for scene in scenes:
            coloured = generator.random() >= GREY_RATE
            frames = tower_frame_indices(scene.config.num_frames, self.config.num_tower_frames)
            one = int(generator.integers(len(frames)))
            videos.append(scene.video[frames] if coloured else grey(scene.video[frames]))
            chosen.append(videos[-1][one])
            spatial.append(dense_labels(scene, [frames[one]], self.grids[0], coloured))
            temporal.append(dense_labels(scene, frames, self.grids[1], coloured))
        flat, batch = np.concatenate(videos), (len(scenes), len(videos[0]))
        return {
            "pixel_values": spatial_stream(np.stack(chosen), self.config.spatial_config.image_size),
            "temporal_pixel_values": temporal_stream(flat, self.config.temporal_config.image_size).unflatten(0, batch),
            "labels": _join(spatial),
            "temporal_labels": _join(temporal),
        }


class Towers(nn.Module):
    """Both towers and their projectors under dense labels."""

    def __init__(self, model: VideoGlammForGroundedGeneration) -> None:
        super().__init__()
        # Only what this stage trains, so that its checkpoints are small.
        self.spatial_tower, self.spatial_projector = model.model.spatial_tower, model.model.spatial_projector
        self.temporal_tower, self.temporal_projector = model.model.temporal_tower, model.model.temporal_projector
        width = model.config.text_config.hidden_size
        self.spatial_head, self.temporal_head = DenseHead(width), DenseHead(width, TEMPORAL_LABELS)
        # Not a submodule.
        self.inner = [model.model]

    def forward(
        self,
        pixel_values: torch.Tensor,
        temporal_pixel_values: torch.Tensor,
        labels: dict[str, torch.Tensor],
        temporal_labels: dict[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """
        Args:
            pixel_values: `[B, 3, S, S]`.
            temporal_pixel_values: `[B, T, 3, S', S']`.
        """
        (inner,) = self.inner
        spatial = self.spatial_projector(inner._spatial_patches(pixel_values))
        temporal = self.temporal_projector(inner._temporal_patches(temporal_pixel_values.flatten(0, 1)))
        return {"loss": self.spatial_head(spatial, labels) + self.temporal_head(temporal, temporal_labels)}


def tower_grids(model: VideoGlammForGroundedGeneration) -> tuple[int, int]:
    """Patches along a side, of the spatial and of the temporal tower."""
    towers = (model.config.spatial_config, model.config.temporal_config)
    return tuple(tower.image_size // tower.patch_size for tower in towers)


class PixelBatches:
    """Frames with prompts and masks.

    Args:
        num_frames: Neighbouring frames of each clip, forwards or backwards.
        num_prompts: Of each clip.
        grids: Sides of the feature maps with dense labels.
        grey_rate: Share of clips without their colours.
    """

    def __init__(self, num_frames: int, num_prompts: int, grids: tuple[int, int], grey_rate: float = 0.0) -> None:
        self.num_frames, self.num_prompts, self.grids, self.grey_rate = num_frames, num_prompts, grids, grey_rate

    def __call__(self, scenes: Sequence[Scene]) -> dict[str, Any]:
        generator = np.random.default_rng([scene.index for scene in scenes])
        frames, prompts, masks, exists, labels = [], [], [], [], []
        for scene in scenes:
            start = int(generator.integers(scene.config.num_frames - self.num_frames + 1))
            chosen = list(range(start, start + self.num_frames))[:: 1 if generator.random() < 0.5 else -1]
            coloured = generator.random() >= self.grey_rate
            drawn = (
                draw_prompts(scene, self.num_prompts, generator)
                if coloured
                else draw_shape_prompts(self.num_prompts, generator)
            )
            own_masks, own_exists = prompt_masks(scene, drawn, chosen)
            frames.append((scene.video[chosen] if coloured else grey(scene.video[chosen])).transpose(0, 3, 1, 2))
            prompts.append(drawn)
            masks.append(own_masks)
            exists.append(own_exists)
            labels.append([dense_labels(scene, chosen, grid, coloured) for grid in self.grids])
        return {
            "frames": torch.from_numpy(np.stack(frames)),
            "prompts": torch.tensor(prompts),
            "masks": torch.from_numpy(np.stack(masks)),
            "exists": torch.from_numpy(np.stack(exists)),
            "low_labels": _join([low for low, _ in labels]),
            "middle_labels": _join([middle for _, middle in labels]),
        }


class Pixels(nn.Module):
    """The pixel decoder, prompted by codes.

    The object score says whether a clip has the object at all, not whether a frame shows it: a track that starts
    before its object comes in then keeps the pointer that says what to wait for.

    Args:
        through_memory: Whether the clip is tracked from its first frame; otherwise every frame stands alone.
        frozen_encoder: Whether the image encoder stays as it is.
    """

    def __init__(
        self,
        model: VideoGlammForGroundedGeneration,
        through_memory: bool,
        frozen_encoder: bool = False,
    ) -> None:
        super().__init__()
        self.decoder = model.pixel_decoder
        self.decoder.vision_encoder.requires_grad_(not frozen_encoder)
        self.dense_weight = 0.0 if frozen_encoder else 0.5
        width = model.config.grounding_config.prompt_encoder_config.hidden_size
        self.codes = PromptCodes(width)
        self.low_head, self.middle_head = DenseHead(width), DenseHead(width // 4)
        self.through_memory = through_memory

    @staticmethod
    def grids(model: VideoGlammForGroundedGeneration) -> tuple[int, int]:
        """Sides of the feature maps that get dense labels."""
        _, (middle, _), (low, _) = model.config.grounding_config.vision_config.backbone_feature_sizes
        return low, middle

    def train(self, mode: bool = True) -> "Pixels":
        # Nothing here drops out, and in evaluation mode the first mask enters memory as it does at inference.
        return super().train(False)

    def forward(
        self,
        frames: torch.Tensor,
        prompts: torch.Tensor,
        masks: torch.Tensor,
        exists: torch.Tensor,
        low_labels: dict[str, torch.Tensor],
        middle_labels: dict[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """
        Args:
            frames: uint8 `[B, T, 3, S, S]`.
            prompts: int64 `[B, N, 2]`.
            masks: bool `[B, N, T, S, S]`.
            exists: bool `[B, N]`.
        """
        decoder, (num_clips, num_frames) = self.decoder, frames.shape[:2]
        features = encode_frames(
            decoder, normalize_grounding_frames(frames.flatten(0, 1), decoder.image_size, decoder.dtype)
        )
        dense = self.low_head(features.embedding.flatten(2).transpose(1, 2), low_labels)
        dense = dense + self.middle_head(features.high_resolution[1].flatten(2).transpose(1, 2), middle_labels)

        # A track keeps what its first mask missed, so it learns to start from codes that are not quite right.
        codes = (self.codes.unsure if self.through_memory else self.codes)(prompts).flatten(0, 1)
        # Half the frames' side is fine enough, and a quarter of the work.
        targets = F.avg_pool2d(masks.flatten(0, 1).float(), 2)
        clips = torch.arange(num_clips, device=frames.device).repeat_interleave(prompts.shape[1])
        real = exists.flatten().float()
        # Framewise pairs take mask token 0, tracked ones tokens 1 to 3.
        pairs = torch.randperm(len(codes) * num_frames, device=frames.device)
        alone, rest = pairs.tensor_split(2)
        loss = self._framewise(features, clips, codes, targets, real, alone)
        if self.through_memory:
            loss = loss + self._tracked(features, clips, codes, targets, real)
        else:
            rows, times = rest // num_frames, rest % num_frames
            chosen = features.select(clips[rows] * num_frames + times)
            loss = loss + _mask_loss(
                decode_first_frame(decoder, chosen, codes[rows]), targets[rows, times], real[rows]
            )
        return {"loss": loss + self.dense_weight * dense}

    def _framewise(
        self,
        features: FrameFeatures,
        clips: torch.Tensor,
        codes: torch.Tensor,
        targets: torch.Tensor,
        real: torch.Tensor,
        pairs: torch.Tensor,
    ) -> torch.Tensor:
        num_frames = targets.shape[1]
        rows, times = pairs // num_frames, pairs % num_frames
        decided = decode_framewise(self.decoder, features.select(clips[rows] * num_frames + times), codes[rows])
        return _mask_loss(decided, targets[rows, times], real[rows])

    def _tracked(
        self,
        features: FrameFeatures,
        clips: torch.Tensor,
        codes: torch.Tensor,
        targets: torch.Tensor,
        real: torch.Tensor,
        given: Sequence[int] = (),
    ) -> torch.Tensor:
        """Loss of whole tracks, in the frames whose masks are not given."""
        decoder, num_frames = self.decoder, targets.shape[1]
        bank, losses = new_memory_bank(decoder), []
        for t in given:
            own = features.select(clips * num_frames + t)
            bank.condition(t, start_from_masks(decoder, own, (targets[:, t] > 0.5).float())[1])
        for t in range(num_frames):
            if t in given:
                continue
            own = features.select(clips * num_frames + t)
            if t == 0:
                decided = decode_first_frame(decoder, own, codes)
                bank.condition(0, remember(decoder, own, decided, prompted=True))
            else:
                decided = decode_tracked_frame(decoder, own, bank, t)
                bank.append(t, remember(decoder, own, decided, prompted=False))
            losses.append(_mask_loss(decided, targets[:, t], real))
        return torch.stack(losses).mean()


class Clicks(Pixels):
    """The pixel decoder that also follows clicks, its image encoder frozen.

    More than half of the masks start from nothing, the others from what a code that is not quite right finds; each
    click lies in the larger of what is missing and what is too much, as in SAM 2's training.

    Args:
        through_memory: As for [`Pixels`].
        quieter: Whether features are first made quieter (see [`quiet_features`]): once.
    """

    # Clicks on a mask, the share of masks that start from nothing, and that of tracks that start from a mask.
    num_clicks, blind_rate, given_rate = 3, 0.6, 0.3

    def __init__(self, model: VideoGlammForGroundedGeneration, through_memory: bool, quieter: bool = False) -> None:
        if quieter:
            quiet_features(model.pixel_decoder, QUIETER)
        super().__init__(model, through_memory, frozen_encoder=True)

    def forward(
        self, frames: torch.Tensor, prompts: torch.Tensor, masks: torch.Tensor, **others: Any
    ) -> dict[str, torch.Tensor]:
        """
        Args:
            frames, prompts, masks, others: As for [`Pixels`].
        """
        words = super().forward(frames, prompts, masks, **others)["loss"]
        clicks = self._clicked(frames, prompts, masks)
        return {"loss": words + clicks, "clicks": clicks.detach()}

    def _tracked(
        self, features: FrameFeatures, clips: torch.Tensor, codes: torch.Tensor, targets: torch.Tensor, *others: Any
    ) -> torch.Tensor:
        """As for [`Pixels`], but some frames are given, as a person corrects them: up to two, or the first."""
        given = torch.randperm(targets.shape[1] - 1)[: int(torch.randint(3, ()))].add(1).tolist()
        if torch.rand(()) < self.given_rate:
            given.append(0)
        return super()._tracked(features, clips, codes, targets, *others, given)

    def _clicked(self, frames: torch.Tensor, prompts: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Loss of masks after each click, in every second frame."""
        decoder, times = self.decoder, range(0, frames.shape[1], 2)
        with torch.no_grad():
            pixels = frames[:, times].flatten(0, 1)
            features = encode_frames(decoder, normalize_grounding_frames(pixels, decoder.image_size, decoder.dtype))
        # [B, N, T] to objects that can be seen in their frame.
        wanted = masks[:, :, times].flatten(0, 2)
        clips, numbers, places = torch.meshgrid(
            *(torch.arange(size, device=frames.device) for size in (*masks.shape[:2], len(times))), indexing="ij"
        )
        seen = wanted.flatten(1).any(1)
        rows = (clips * len(times) + places).flatten()[seen]
        own, wanted = features.select(rows), wanted[seen]
        targets = F.avg_pool2d(wanted.float()[:, None], 2)[:, 0]
        with torch.no_grad():
            codes = self.codes.unsure(prompts[clips.flatten()[seen], numbers.flatten()[seen]])
            start = decode_framewise(decoder, own, codes).logits
        blind = torch.rand(len(rows), device=start.device) < self.blind_rate
        found = _enlarged(start, wanted) & ~blind[:, None, None]
        points, labels, losses = [], [], []
        for _ in range(self.num_clicks):
            point, label = draw_clicks(found, wanted)
            points.append(point * (decoder.image_size / wanted.shape[-1]))
            labels.append(label)
            for half, previous in ((blind, None), (~blind, start)):
                chosen = half.nonzero()[:, 0]
                if len(chosen):
                    given = torch.stack(points, 1)[chosen], torch.stack(labels, 1)[chosen]
                    before = None if previous is None else previous[chosen]
                    decided = decode_region(decoder, own.select(chosen), *given, before)
                    found[chosen] = _enlarged(decided.logits.detach(), wanted)
                    real = torch.ones_like(decided.object_scores)
                    losses.append(_mask_loss(decided, targets[chosen], real) * len(chosen) / len(rows))
        return torch.stack(losses).sum() / self.num_clicks if losses else frames.new_zeros((), dtype=decoder.dtype)


def draw_clicks(found: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A click for each mask, anywhere in the larger of what is missing and what is too much; anywhere on the object
    where nothing is wrong.

    Args:
        found, wanted: bool `[K, H, W]`.

    Returns:
        `(x, y)`, float32 `[K, 2]`, and 1 on the object or 0 beside it, int64 `[K]`.
    """
    missing, surplus = wanted & ~found, found & ~wanted
    more = missing.sum((1, 2)) >= surplus.sum((1, 2))
    wrong = torch.where(more[:, None, None], missing, surplus)
    wrong = torch.where(wrong.flatten(1).any(1)[:, None, None], wrong, wanted)
    places = torch.multinomial(wrong.flatten(1).float(), 1)[:, 0]
    y, x = places // wanted.shape[-1], places % wanted.shape[-1]
    labels = wanted[torch.arange(len(wanted), device=wanted.device), y, x].long()
    return torch.stack([x, y], -1).float(), labels


def _enlarged(logits: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Low-resolution logits as masks of a size."""
    return F.interpolate(logits[:, None], size=like.shape[-2:], mode="bilinear", align_corners=False)[:, 0] > 0


class LanguageBatches:
    """Clips with several questions each, packed: the questions share the clip's visual tokens.

    A question sees the visual tokens and itself, at the positions it has when asked alone; so a step costs little
    more than one question, and learns from all. Answers are read with some colours unknown: which shape comes next is
    then learnt from the question and the video, not from the colours that shapes had in training.

    Args:
        num_questions: Of each clip.
    """

    def __init__(
        self, model: VideoGlammForGroundedGeneration, processor: VideoGlammProcessor, num_questions: int
    ) -> None:
        self.config, self.tokenizer, self.num_questions = model.config, processor.tokenizer, num_questions
        self.grids = tower_grids(model)
        names = ("<|user|>", "<|assistant|>", "<|end|>")
        self.user, self.assistant, self.end = self.tokenizer.convert_tokens_to_ids(names)
        self.colours = set(self.tokenizer.convert_tokens_to_ids(COLOURS))

    def __call__(self, scenes: Sequence[Scene]) -> dict[str, Any]:
        config = self.config
        prefix = [self.user] + [config.video_token_id] * config.video_seq_length
        rows = [self._row(scene, prefix) for scene in scenes]
        length = max(len(row["ids"]) for row in rows)
        ids, labels, positions, owners, prompts = (
            torch.stack([F.pad(torch.tensor(row[name]), (0, length - len(row[name])), value=fill) for row in rows])
            for name, fill in (("ids", 0), ("labels", IGNORED), ("positions", 0), ("owners", -1), ("codes", -1))
        )
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        same = (owners[:, None] == owners[:, :, None]) | (owners[:, None] == 0)
        frames = tower_frame_indices(scenes[0].config.num_frames, config.num_tower_frames)
        video = np.stack([scene.video[frames] for scene in scenes])
        flat, batch = video.reshape(-1, *video.shape[2:]), (len(scenes), len(frames))
        return {
            "input_ids": ids,
            "labels": labels,
            "position_ids": positions,
            "sees": (causal & same)[:, None],
            "prompts": prompts,
            "pixel_values_videos": spatial_stream(flat, config.spatial_config.image_size).unflatten(0, batch),
            "temporal_pixel_values_videos": temporal_stream(flat, config.temporal_config.image_size).unflatten(
                0, batch
            ),
            "spatial_labels": _join([dense_labels(scene, frames, self.grids[0]) for scene in scenes]),
            "temporal_labels": _join([dense_labels(scene, frames, self.grids[1]) for scene in scenes]),
        }

    def _row(self, scene: Scene, prefix: list[int]) -> dict[str, list[int]]:
        """One clip: ids, labels, positions, which question a token is of (0: the prefix), and at the token before
        each [SEG] its prompt as one number."""
        ids, start = list(prefix), len(prefix)
        labels, positions, owners, codes = [IGNORED] * start, list(range(start)), [0] * start, [-1] * start
        generator = np.random.default_rng([scene.index, 5])
        for number, question in enumerate(sample_scene_questions(scene, self.num_questions), start=1):
            asked = [*self._encode(question.question), self.end, self.assistant]
            answer = [*self._encode(question.answer), self.end]
            named = iter(question.phrases)
            following = [*asked[1:], *answer, None]
            ids += asked + self._without_colours(answer, generator)
            labels += [IGNORED] * len(asked) + answer
            positions += range(start, start + len(asked) + len(answer))
            owners += [number] * (len(asked) + len(answer))
            codes += [
                100 * prompt[0] + prompt[1]
                if token == self.config.seg_token_id and (prompt := prompt_of(next(named)))
                else -1
                for token in following
            ]
        return {"ids": ids, "labels": labels, "positions": positions, "owners": owners, "codes": codes}

    def _without_colours(self, answer: list[int], generator: np.random.Generator) -> list[int]:
        unknown = self.tokenizer.unk_token_id
        return [
            unknown if token in self.colours and generator.random() < UNKNOWN_COLOUR_RATE else token
            for token in answer
        ]

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False).input_ids


class Language(nn.Module):
    """Language model, [SEG] projection, projectors and temporal tower, on packed questions and dense labels."""

    def __init__(self, model: VideoGlammForGroundedGeneration) -> None:
        super().__init__()
        self.model, self.lm_head, self.seg_projection = model.model, model.lm_head, model.seg_projection
        # It has learnt all it needs; a third of a step would be its gradients.
        self.model.spatial_tower.requires_grad_(False)
        width = model.config.text_config.hidden_size
        self.spatial_head = DenseHead(width)
        self.temporal_head = DenseHead(width, TEMPORAL_LABELS)
        self.codes = PromptCodes(model.config.grounding_config.prompt_encoder_config.hidden_size)
        self.config = model.config

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        position_ids: torch.Tensor,
        sees: torch.Tensor,
        prompts: torch.Tensor,
        pixel_values_videos: torch.Tensor,
        temporal_pixel_values_videos: torch.Tensor,
        spatial_labels: dict[str, torch.Tensor],
        temporal_labels: dict[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """
        Args:
            input_ids, labels, position_ids: int64 `[B, L]`.
            sees: bool `[B, 1, L, L]`: which tokens each token sees.
            prompts: int64 `[B, L]`: at the token before a [SEG], 100 times its colour plus its shape; else -1.
            pixel_values_videos, temporal_pixel_values_videos: Pixels of the towers' frames `[B, T, 3, S, S]`.
        """
        tokens, dense = self._see(pixel_values_videos, temporal_pixel_values_videos, spatial_labels, temporal_labels)
        embeds = self.model.embed_inputs(input_ids, video_features=tokens)
        # Padding sees only itself.
        sees = sees | torch.eye(sees.shape[-1], dtype=torch.bool, device=sees.device)
        bias = torch.zeros(sees.shape, dtype=embeds.dtype, device=sees.device)
        states = self.model.language_model(
            inputs_embeds=embeds,
            attention_mask=bias.masked_fill(~sees, torch.finfo(embeds.dtype).min),
            position_ids=position_ids,
            use_cache=False,
        ).last_hidden_state
        answered = labels[:, 1:] != IGNORED
        words = F.cross_entropy(self.lm_head(states[:, :-1][answered]), labels[:, 1:][answered])
        says = prompts >= 0
        wanted = self.codes(torch.stack([prompts[says] // 100, prompts[says] % 100], -1))
        codes = F.mse_loss(self.seg_projection(states[says]), wanted)
        return {"loss": words + codes.nan_to_num() + 0.5 * dense, "words": words.detach(), "codes": codes.detach()}

    def _see(
        self,
        spatial_pixels: torch.Tensor,
        temporal_pixels: torch.Tensor,
        spatial_labels: dict[str, torch.Tensor],
        temporal_labels: dict[str, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Visual tokens, and the dense losses of what they are pooled from.

        The projectors' outputs are caught on their way, so that they are computed once; a CPU sees the videos one by
        one.
        """
        names = ("spatial_projector", "temporal_projector")
        caught: dict[str, list[torch.Tensor]] = {name: [] for name in names}
        hooks = [
            getattr(self.model, name).register_forward_hook(
                lambda module, inputs, output, name=name: caught[name].append(output)
            )
            for name in names
        ]
        try:
            tokens = self.model.get_video_features(spatial_pixels, temporal_pixels).pooler_output
        finally:
            for hook in hooks:
                hook.remove()
        spatial, temporal = (torch.cat(caught[name]) for name in names)
        dense = self.spatial_head(spatial, spatial_labels)
        return tokens, dense + 0.5 * self.temporal_head(temporal, temporal_labels)


def _mask_loss(decided: ObjectMasks, targets: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """2 BCE + dice of every candidate, 0.1 of their predicted IoU, 0.2 of the object score.

    Every candidate learns the whole mask: tracking takes any of them, and needs to know which is best.

    Args:
        targets: float `[K, H, W]`, share of each pixel that is covered.
        real: float `[K]`, 1 where the clip has such an object.
    """
    logits = F.interpolate(decided.candidates, size=targets.shape[-2:], mode="bilinear", align_corners=False)
    wanted = targets[:, None].expand_as(logits)
    bce = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((2, 3))
    chances = logits.sigmoid()
    overlap, total = 2 * (chances * wanted).sum((2, 3)), (chances + wanted).sum((2, 3))
    # Nothing to see has no dice.
    dice = (1 - (overlap + 1) / (total + 1)) * targets.any(-1).any(-1)[:, None]
    ious = mask_iou(logits > 0, wanted > 0.5, empty=1)
    scores = F.binary_cross_entropy_with_logits(decided.object_scores, real)
    return (2 * bce + dice).mean() + 0.1 * F.mse_loss(decided.iou_scores, ious) + 0.2 * scores


def _join(labels: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([own[name] for own in labels]) for name in labels[0]}
