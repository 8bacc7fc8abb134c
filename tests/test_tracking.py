"""The tracker: the same masks as transformers' SAM 2 session, in bounded memory, in any order of frames."""

import copy

import numpy as np
import pytest
import torch
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from tests.tiny_checkpoint import frames, gt_masks
from videoglamm_hf import InputError, PackedMasks, ResourceError, tracking
from videoglamm_hf.image_streams import grounding_stream, normalize_grounding_frames
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.memory_bank import MemoryBank
from videoglamm_hf.pixel_decoder import VideoGlammPixelDecoder
from videoglamm_hf.tracking import FrameMasks, Tracker, TrackingOptions

SIZE = 256
NUM_FRAMES = 9


@pytest.fixture(scope="module")
def resized() -> torch.Tensor:
    return grounding_stream(frames(NUM_FRAMES, 48, 64), SIZE)


@pytest.fixture(scope="module")
def prompts(model) -> torch.Tensor:
    return torch.randn(3, 256, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def run(model, prompts, resized, **options) -> list[FrameMasks]:
    return list(Tracker(model.pixel_decoder, [prompts], [resized], TrackingOptions(**options)).masks([(48, 64)]))


def logits_by_frame(steps: list[FrameMasks]) -> torch.Tensor:
    return torch.stack([step.logits for step in sorted(steps, key=lambda step: step.frame_index)])


@pytest.mark.parametrize(("prompt_frame", "backward"), [(0, False), (5, True)])
def test_given_masks_are_tracked_as_by_transformers_session(model, resized, prompt_frame, backward):
    given = torch.from_numpy(np.concatenate([gt_masks(1, 1, SIZE, SIZE, salt=s)[:, 0] for s in range(3)]))
    decoder = model.pixel_decoder
    pixels = normalize_grounding_frames(resized, SIZE, torch.float32)
    session = Sam2VideoInferenceSession(video=pixels, video_height=48, video_width=64, dtype=torch.float32)
    for i, mask in enumerate(given):
        session.add_mask_inputs(session.obj_id_to_idx(i), prompt_frame, mask[None, None])
        session.obj_with_new_inputs.append(i)
    # A session that starts backwards has seen no later frame.
    outputs = decoder.propagate_in_video_iterator(session, start_frame_idx=prompt_frame, reverse=backward)
    expected = {output.frame_idx: output.pred_masks[:, 0].clone() for output in outputs}
    steps = {s.frame_index: s.logits for s in run(model, given, resized, prompt_frame=prompt_frame)}
    for t, logits in expected.items():
        assert (logits - steps[t]).abs().max() < 2e-2, t
        assert ((logits > 0) != (steps[t] > 0)).float().mean() < 5e-4
    assert sorted(steps) == list(range(NUM_FRAMES))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_given_masks_are_tracked_in_half_precision(fresh_model, model, resized, dtype):
    given = torch.from_numpy(gt_masks(2, 1, SIZE, SIZE)[:, 0])
    half = logits_by_frame(run(fresh_model(dtype=dtype), given, resized[:3]))
    exact = logits_by_frame(run(model, given, resized[:3]))
    assert half.dtype == dtype
    assert mask_iou(half > 0, exact > 0).min() > 0.9


def test_sam2_1_is_tracked_as_by_transformers_session(model, resized):
    """Its pointers tell how far back they lie, relative to the length of the video."""
    config = copy.deepcopy(model.pixel_decoder.config)
    config.enable_temporal_pos_encoding_for_object_pointers = config.enable_occlusion_spatial_embedding = True
    decoder = VideoGlammPixelDecoder(config).eval()
    decoder.load_state_dict(model.pixel_decoder.state_dict(), strict=False)
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(decoder.temporal_positional_encoding_projection_layer.weight, std=3, generator=generator)
    torch.nn.init.normal_(decoder.occlusion_spatial_embedding_parameter, generator=generator)
    given = torch.from_numpy(gt_masks(1, 1, SIZE, SIZE)[:, 0])
    pixels = normalize_grounding_frames(resized, SIZE, torch.float32)
    session = Sam2VideoInferenceSession(video=pixels, video_height=48, video_width=64, dtype=torch.float32)
    session.add_mask_inputs(session.obj_id_to_idx(0), 0, given[None])
    session.obj_with_new_inputs.append(0)
    expected = [output.pred_masks[:, 0] for output in decoder.propagate_in_video_iterator(session, start_frame_idx=0)]
    # Beside it another, longer video, which must not matter.
    frames_, sizes = [resized, resized.repeat(3, 1, 1, 1)[: NUM_FRAMES + 5]], [(48, 64), (48, 64)]
    with torch.no_grad():
        steps = list(Tracker(decoder, [given, given], frames_, TrackingOptions()).masks(sizes))
    found = [step.logits for step in steps if step.sequence_index == 0]
    assert len(found) == len(expected) == NUM_FRAMES
    assert max((a - b).abs().max() for a, b in zip(found, expected, strict=True)) < 2e-2
    other = [step.logits for step in steps if step.sequence_index == 1][:NUM_FRAMES]
    assert max((a - b).abs().max() for a, b in zip(other, expected, strict=True)) > 0.1


@pytest.mark.parametrize("mode", ["video", "framewise"])
@pytest.mark.parametrize("option", [{"objects_per_batch": 1}, {"objects_per_batch": 2}, {"frames_per_batch": 1}])
def test_batch_sizes_change_nothing(model, prompts, resized, mode, option):
    expected = logits_by_frame(run(model, prompts, resized, mask_mode=mode))
    found = logits_by_frame(run(model, prompts, resized, mask_mode=mode, **option))
    # The memory is stored in bfloat16, which turns the last bits of float32 into more.
    assert (expected - found).abs().max() < (2e-2 if mode == "video" else 1e-3)


def test_framewise_is_independent_of_other_frames(model, prompts, resized):
    whole = logits_by_frame(run(model, prompts, resized, mask_mode="framewise"))
    alone = logits_by_frame(run(model, prompts, resized[6:7], mask_mode="framewise"))
    assert (whole[6] - alone[0]).abs().max() < 1e-3


@pytest.mark.parametrize("prompt_frame", [0, 4, 8, 100])
def test_every_frame_is_decided_once_from_any_prompt_frame(model, prompts, resized, prompt_frame):
    steps = run(model, prompts, resized, prompt_frame=prompt_frame)
    order = [step.frame_index for step in steps]
    start = min(prompt_frame, NUM_FRAMES - 1)
    assert order == [*range(start, NUM_FRAMES), *range(start - 1, -1, -1)]


def test_tracking_backward_mirrors_tracking_forward(model, prompts, resized):
    """Time has no direction of its own: a mirrored clip prompted at its end gives mirrored masks."""
    forward = logits_by_frame(run(model, prompts, resized))
    mirrored = logits_by_frame(run(model, prompts, resized.flip(0), prompt_frame=NUM_FRAMES - 1))
    assert (forward - mirrored.flip(0)).abs().max() < 2e-2


@pytest.mark.parametrize("num_anchors", [1, 2, 4, 50])
def test_anchors_are_decided_as_framewise_and_the_rest_around_them(model, prompts, resized, num_anchors):
    steps = run(model, prompts, resized, mask_mode="anchored", num_anchors=num_anchors)
    assert sorted(step.frame_index for step in steps) == list(range(NUM_FRAMES))
    anchors = sorted(set(np.linspace(0, NUM_FRAMES - 1, min(num_anchors, NUM_FRAMES)).astype(int).tolist()))
    assert [step.frame_index for step in steps[: len(anchors)]] == anchors
    framewise = logits_by_frame(run(model, prompts, resized, mask_mode="framewise"))
    assert (logits_by_frame(steps)[anchors] - framewise[anchors]).abs().max() < 1e-3


def test_memory_is_bounded(model, prompts, resized, monkeypatch):
    sizes = []
    decode = tracking.decode_tracked_frame

    def measured(decoder, features, bank, t, backward):
        sizes.append((len(bank.memories(t)), len(bank.pointers(t))))
        return decode(decoder, features, bank, t, backward)

    monkeypatch.setattr(tracking, "decode_tracked_frame", measured)
    run(model, prompts, resized[torch.arange(25) % NUM_FRAMES])
    assert sizes == [(min(t, 7), min(t, 16)) for t in range(1, 25)]


def test_frames_are_taken_a_few_at_a_time(model, prompts, resized):
    """Anything with a length and slices will do, and it is asked for one frame after the other."""

    class Lazy:
        asked = []

        def __len__(self):
            return NUM_FRAMES

        def __getitem__(self, index):
            self.asked.append((index.start, index.stop))
            return resized[index]

    lazy = Lazy()
    stream = Tracker(model.pixel_decoder, [prompts], [lazy], TrackingOptions(frames_per_batch=2)).masks([(48, 64)])
    with torch.no_grad():
        next(stream)
        assert len(lazy.asked) <= 2
        list(stream)
    assert lazy.asked == [(t, t + 1) for t in range(NUM_FRAMES)]


def test_packed_masks_are_the_masks(model, ask):
    from tests.conftest import force_seg

    inputs = ask(video=frames(3, 45, 67))
    forced = force_seg([0, 1], inputs["input_ids"].shape[1])
    options = {"max_new_tokens": 3, "logits_processor": forced, "do_sample": False}
    plain, packed = model.generate(**inputs, **options), model.generate(**inputs, **options, pack_masks=True)
    masks = packed.masks[0]
    assert masks.shape == (2, 3, 45, 67) and masks.nbytes * 8 < plain.masks[0].numel() + 2 * 3 * 8
    assert torch.equal(masks.unpack(), plain.masks[0])
    assert torch.equal(masks[1, 2], plain.masks[0][1, 2])
    assert [tuple(m.shape) for m in masks] == [(3, 45, 67)] * 2


def test_packed_masks_of_odd_sizes():
    masks = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    packed = PackedMasks.zeros(tuple(masks.shape))
    for t in range(3):
        packed[:, t] = masks[:, t]
    assert torch.equal(packed.unpack(), masks)


BAD_OPTIONS = [
    {"mask_mode": "sideways"},
    {"prompt_frame": -1},
    {"prompt_frame": 1.5},
    {"prompt_frame": None},
    {"num_anchors": 0},
    {"num_anchors": 2.5},
    {"objects_per_batch": 0},
    {"frames_per_batch": 0},
]


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        TrackingOptions(**options)


def test_masks_can_only_start_a_track(model, resized):
    with pytest.raises(InputError, match="framewise"):
        run(model, torch.zeros(1, 48, 64), resized, mask_mode="framewise")


BAD_SAMPLES = {
    "fewer prompts": ({"prompts": []}, "0 prompts, 1 grounding_frames"),
    "more videos": ({"grounding_frames": [0, 0]}, "1 prompts, 2 grounding_frames"),
    "fewer sizes": ({"original_sizes": []}, "1 prompts, 0 original_sizes"),
    "a negative size": ({"original_sizes": torch.tensor([[-48, 64]])}, r"sample 0 is \[-48, 64\]"),
    "half a pixel": ({"original_sizes": [(48.5, 64)]}, "48.5"),
    "one side": ({"original_sizes": [48]}, "sample 0 is 48"),
    "an array": ({"grounding_frames": [np.zeros((2, 3, SIZE, SIZE), np.uint8)]}, "sample 0 are of type ndarray"),
    "a list": ({"grounding_frames": [[torch.zeros(3, SIZE, SIZE)]]}, "sample 0 are of type list"),
    "channels last": ({"grounding_frames": [torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8)]}, "uint8 .*not uint8"),
    "floats": ({"grounding_frames": [torch.zeros(2, 3, SIZE, SIZE)]}, "float32"),
    "small frames": ({"grounding_frames": [torch.zeros(2, 3, 48, 64, dtype=torch.uint8)]}, "64 pixels .* takes 256"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_samples_that_cannot_be_tracked(model, prompts, resized, case):
    changed, message = BAD_SAMPLES[case]
    given = {"prompts": [prompts], "grounding_frames": [resized], "original_sizes": [(48, 64)], **changed}
    given["grounding_frames"] = [resized if isinstance(own, int) else own for own in given["grounding_frames"]]
    with pytest.raises(InputError, match=message):
        next(model.iter_masks(**given))


def test_frames_of_another_size_are_refused_when_they_are_reached(model, prompts):
    class Frames:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return torch.zeros(2, 3, 48, 64, dtype=torch.uint8)[index]

    with pytest.raises(InputError, match="sample 0, frame 0, are 64 pixels"):
        next(model.iter_masks([prompts], [Frames()], [(48, 64)]))


def test_out_of_memory_names_the_knob(model, prompts, resized, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tracking, "decode_tracked_frame", full)
    with pytest.raises(ResourceError, match="max_objects_per_batch"):
        run(model, prompts, resized)


def test_a_gpu_is_told_of_the_next_frame_before_its_masks_are_waited_for(model, prompts, resized, monkeypatch):
    """As if a CPU were one: the same masks in the same order, each read when the next one is on its way."""
    expected, happened = run(model, prompts, resized), []

    class Event:
        def __init__(self, device):
            self.number = len([what for what, _ in happened if what == "record"])

        def record(self):
            happened.append(("record", self.number))

        def synchronize(self):
            happened.append(("wait", self.number))

    monkeypatch.setattr(tracking, "ASYNCHRONOUS_DEVICES", ("cpu",))
    monkeypatch.setattr(torch, "Event", Event)
    found = run(model, prompts, resized)
    assert [step.frame_index for step in found] == list(range(NUM_FRAMES))
    assert all(torch.equal(a.masks, b.masks) for a, b in zip(found, expected, strict=True))
    order = [("record", 0)]
    for number in range(1, NUM_FRAMES):
        order += [("record", number), ("wait", number - 1)]
    assert happened == [*order, ("wait", NUM_FRAMES - 1)]


@torch.no_grad()
def test_masks_of_several_sizes_and_embeddings_start_tracks_together(model, prompts, resized):
    given = [torch.ones(1, 48, 64), prompts[:2], torch.ones(1, 20, 30)]
    frames, sizes = [resized[:3]] * 3, [(48, 64)] * 3
    found = list(model.iter_masks(given, frames, sizes))
    for sample, own in enumerate(given):
        alone = list(model.iter_masks([own], frames[:1], sizes[:1]))
        together = [step for step in found if step.sequence_index == sample]
        assert all(torch.equal(a.masks, b.masks) for a, b in zip(together, alone, strict=True))


@pytest.mark.parametrize("prompts", [torch.zeros(2, 7), torch.zeros(256), torch.zeros(1, 1, 4, 4), [[0.0]]], ids=str)
def test_prompts_that_are_none_are_told_so(model, resized, prompts):
    with pytest.raises(InputError, match=r"prompts of sample 0 are .*; give embeddings \[objects, 256\]"):
        list(model.iter_masks([prompts], [resized], [(48, 64)]))


def test_float16_autocast_tracks_with_gradients(model, prompts, resized):
    with torch.autocast("cpu", dtype=torch.float16):
        found = list(Tracker(model.pixel_decoder, [prompts[:1]], [resized[:3]], TrackingOptions()).decided())
    assert found[-1].joined("candidates").requires_grad


@pytest.mark.parametrize(
    ("options", "remembered"),
    [
        ({}, list(range(NUM_FRAMES - 1))),
        ({"prompt_frame": 4}, [4, 5, 6, 7, 3, 2, 1]),
        ({"mask_mode": "framewise"}, []),
        # Anchors, and what lies between a frame and the nearest of them.
        ({"mask_mode": "anchored", "num_anchors": 3}, [0, 4, 8, 1, 5]),
    ],
    ids=str,
)
def test_only_what_is_looked_back_at_is_remembered(model, prompts, resized, monkeypatch, options, remembered):
    seen = []
    for name in ("condition", "append"):
        method = getattr(MemoryBank, name)
        monkeypatch.setattr(
            MemoryBank, name, lambda bank, t, memory, method=method: (seen.append(t), method(bank, t, memory))
        )
    run(model, prompts[:1], resized, **options)
    assert seen == remembered
