"""Training from features that were computed once."""

import json

import pytest
import torch
from transformers import Trainer

from tests.training.test_training import MIXED, Samples, arguments, video_sample
from videoglamm_hf import InputError, VideoGlammError, cli
from videoglamm_hf.data import FeatureCache, VideoGlammDataCollator, cache_features, write_jsonl
from videoglamm_hf.errors import MediaError
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.training.fine_tuning import trainable_modules


def batches(model, processor, folder, samples):
    """The batch of pixels and that of the cache, drawing the same mask frames."""
    made = []
    for features in (None, FeatureCache(folder, model)):
        torch.manual_seed(0)
        made.append(VideoGlammDataCollator(processor, num_mask_frames=(1, 2), features=features)(samples))
    return made


@pytest.mark.parametrize("frame_features", [False, True])
def test_losses_and_gradients_are_those_of_pixels(fresh_model, processor, tmp_path, frame_features):
    model = fresh_model()
    assert cache_features(model, processor, MIXED, tmp_path, frame_features=frame_features) == 2
    assert cache_features(model, processor, MIXED, tmp_path, frame_features=frame_features) == 0
    model.train()
    trainable_modules(model, "paper")
    seen = []
    for batch in batches(model, processor, tmp_path, MIXED):
        model.zero_grad()
        output = model(**batch)
        output.loss.backward()
        losses = [output.loss, output.ce_loss, output.mask_bce_loss, output.mask_dice_loss]
        gradients = [p.grad.norm() for p in model.parameters() if p.requires_grad]
        seen.append((torch.stack(losses), torch.stack(gradients), batch))
    assert torch.allclose(seen[0][0], seen[1][0], rtol=1e-5)
    assert torch.allclose(seen[0][1], seen[1][1], rtol=1e-4, atol=1e-7)
    pixels, cached = seen[0][2], seen[1][2]
    assert not any(name.startswith(("pixel_values", "temporal_pixel")) for name in cached)
    assert hasattr(cached["grounding_frames"][0], "embedding") == frame_features
    for name in ("labels", "original_sizes", "frame_timestamps"):
        assert str(cached[name]) == str(pixels[name])
    assert all(torch.equal(a, b) for a, b in zip(cached["mask_labels"], pixels["mask_labels"], strict=True))


def test_trainer_and_workers_read_it(fresh_model, processor, tmp_path):
    model = fresh_model()
    trainable_modules(model, "paper")
    samples = Samples([video_sample(1), MIXED[1]])
    cache_features(model, processor, samples, tmp_path / "cache", frame_features=True)
    collate = VideoGlammDataCollator(processor, features=FeatureCache(tmp_path / "cache", model))
    options = arguments(tmp_path / "run", dataloader_num_workers=1, per_device_train_batch_size=2)
    assert Trainer(model, options, data_collator=collate, train_dataset=samples).train().global_step == 2


def test_the_command_and_moved_files(light_tiny, model, processor, tmp_path, capsys):
    video = video_sample(1)
    (tmp_path / "a").mkdir()
    write_mp4(tmp_path / "a" / "clip.mp4", video["video"], fps=2)
    sample = video | {"video": str(tmp_path / "a" / "clip.mp4")}
    write_jsonl(tmp_path / "a" / "data.jsonl", [sample])
    arguments = ["cache-features", str(tmp_path / "a" / "data.jsonl"), str(tmp_path / "cache")]
    arguments += ["--model", str(light_tiny), "--frames", "--device", "cpu"]
    assert cli.main(arguments) == 0
    assert "1 file written" in capsys.readouterr().out
    (tmp_path / "a").rename(tmp_path / "b")
    sample["video"] = str(tmp_path / "b" / "clip.mp4")
    pixels, cached = batches(model, processor, tmp_path / "cache", [sample])
    assert torch.allclose(model(**cached).loss, model(**pixels).loss, rtol=1e-5)


def test_a_tower_that_trains_refuses_features(fresh_model, processor, tmp_path):
    model = fresh_model()
    cache_features(model, processor, MIXED[:1], tmp_path)
    _, cached = batches(model, processor, tmp_path, MIXED[:1])
    model.train()
    trainable_modules(model, "full")
    with pytest.raises(InputError, match="spatial_tower trains"):
        model(**cached)


def test_what_does_not_fit_is_refused(fresh_model, processor, tmp_path):
    model = fresh_model()
    cache_features(model, processor, MIXED[:1], tmp_path)
    with pytest.raises(InputError, match="give another folder"):
        cache_features(model, processor, MIXED[:1], tmp_path, frame_features=True)
    with pytest.raises(InputError, match="no features of this sample"):
        batches(model, processor, tmp_path, [video_sample(1, num_frames=2)])
    with pytest.raises(MediaError, match="videoglamm cache-features"):
        FeatureCache(tmp_path / "nowhere", model)
    (file,) = (path for path in tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(MediaError, match="delete it"):
        batches(model, processor, tmp_path, MIXED[:1])
    with torch.no_grad():
        next(model.model.temporal_tower.parameters()).add_(1)
    with pytest.raises(InputError, match="another model's towers"):
        FeatureCache(tmp_path, model)
    (tmp_path / "cache.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(MediaError, match="format is 'other'"):
        FeatureCache(tmp_path, model)


def test_an_interrupted_run_goes_on(model, processor, tmp_path):
    def broken():
        yield MIXED[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_features(model, processor, broken(), tmp_path)
    assert cache_features(model, processor, MIXED, tmp_path) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    with pytest.raises(VideoGlammError, match=r"Sample 1: "):
        cache_features(model, processor, [MIXED[0], {"messages": []}], tmp_path)
