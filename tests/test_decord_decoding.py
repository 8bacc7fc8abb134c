"""Both decoders give the same frames, whatever the file."""

import numpy as np
import pytest

from tests.videos import make_video, numbered_frame, real_video
from videoglamm_hf import InputError, read_clip

VIDEOS = {
    "numbered": {},
    "open": {"options": {"x264-params": "open-gop=1:bframes=3:keyint=10:min-keyint=10:scenecut=0"}},
    "refresh": {"options": {"x264-params": "intra-refresh=1:keyint=20"}},
    "turned": {"display": {"degrees": 90}},
    "variable": {"pts": [40 * i + 7 * (i % 3) for i in range(60)]},
    "trimmed": {"pts": [40 * i - 400 for i in range(60)]},
    "alpha.mov": {"codec": "png", "pix_fmt": "rgba"},
    "odd.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "stream.ts": {},
    "old.avi": {"codec": "mpeg4"},
    "444": {"pix_fmt": "yuv444p"},
}


@pytest.mark.parametrize("name", [*VIDEOS, "bikes.mp4", "carphone_pristine.mp4"])
def test_both_decoders_give_the_same_frames(name, tmp_path):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    if name in VIDEOS:
        frames = [numbered_frame(i) for i in range(60)]
        path = make_video(tmp_path / (name if "." in name else f"{name}.mp4"), frames, fps=25, **VIDEOS[name])
    else:
        path = real_video(name)
    for options in ({"fps": 1.0}, {"num_frames": 7}, {"fps": None, "max_frames": None, "end_time": 1.5}):
        first, second = (read_clip(path, decoder=decoder, **options) for decoder in ("av", "decord"))
        assert np.array_equal(first.array, second.array)
        assert first.seconds == second.seconds and first.rate == second.rate
    with pytest.raises(InputError, match="decoder"):
        read_clip(path, decoder="opencv")
