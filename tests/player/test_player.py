"""One answer as a page: what the player takes, and what a browser then shows."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from videoglamm_hf import GroundedAnswer, InputError, MediaError, Phrase
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.player import AnswerView, player_document
from videoglamm_hf.player.document import shown_mask

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = '</script><script>document.title="hacked"</script><!--'


def answer(frames: int = 3, size: tuple[int, int] = (20, 30), phrase: str = "red ball") -> GroundedAnswer:
    masks = torch.zeros((2, frames, *size), dtype=torch.bool)
    masks[0, :, 5:10, 5:15] = True
    masks[1, 1:, 12:18, 3:9] = True
    text = f"A {phrase} and a dog."
    phrases = [Phrase(phrase, 2, 2 + len(phrase), 0), Phrase("dog", len(text) - 4, len(text) - 1, 1)]
    times = [0.25 * t for t in range(frames)]
    return GroundedAnswer(text, text, phrases, masks, torch.ones(2, frames), times, torch.ones(2, frames), "stop")


def frames(count: int = 3, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    return np.full((count, *size, 3), 90, np.uint8)


def page_answer(view: AnswerView) -> dict:
    """What the page's script gets."""
    return json.loads(re.search(r'id="answer">(.*?)</script>', view.page, re.DOTALL)[1])


def test_the_document_holds_the_answer():
    found = player_document(answer(), ["a", "b", "c"], (20, 30), title="What?")
    assert found["text"] == "A red ball and a dog." and found["frames"] == ["a", "b", "c"]
    assert [one["name"] for one in found["objects"]] == ["red ball", "dog"]
    assert found["objects"][1]["masks"][0] is None
    assert found["objects"][0]["masks"][0] == encode_rle(answer().masks[0, 0].numpy())
    assert found["objects"][0]["probability"] is None and found["note"] is None
    json.dumps(found, allow_nan=False)
    with pytest.raises(InputError, match="3 frames, and there are 2 pictures"):
        player_document(answer(), ["a", "b"], (20, 30))


@pytest.mark.parametrize("mask", [np.zeros((3, 4), bool), np.ones((3, 4), bool), np.eye(4, dtype=bool)])
def test_a_mask_without_a_pixel_is_none(mask):
    assert (shown_mask(encode_rle(mask)) is None) == (not mask.any())


def test_a_notebook_shows_a_page_that_needs_nothing_else():
    view = answer().show(frames(), title="What is there?")
    shown = view._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in shown
    assert page_answer(view)["frames"][0].startswith("data:image/jpeg;base64,")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", view.page)
    assert "What is there?" in view.page and len(repr(view)) < 200


def test_frames_are_those_at_the_answers_times(tmp_path):
    from videoglamm_hf.render.video_encoding import write_mp4

    video = [np.full((48, 64, 3), 20 * t, np.uint8) for t in range(12)]
    write_mp4(tmp_path / "a.mp4", video, fps=4)
    found = page_answer(answer(frames=4, size=(48, 64)).show(tmp_path / "a.mp4"))
    assert len(found["frames"]) == 4
    without = page_answer(answer().show())
    assert without["frames"] == ["", "", ""] and without["width"] == 30


def test_other_frames_than_the_answers_are_refused(tmp_path):
    with pytest.raises(InputError, match="3 frames, and the video 2"):
        late = answer()
        late.timestamps = [10.0, 20.0, 30.0]
        late.show(frames(2))
    with pytest.raises(InputError, match="masks are 30x20"):
        answer().show(frames(3, (40, 40)))
    with pytest.raises(MediaError, match="no such file"):
        answer().show(tmp_path / "nowhere.mp4")


def test_the_page_is_written_whole(tmp_path):
    view = answer().show(frames())
    view.save(tmp_path / "answer.html")
    assert (tmp_path / "answer.html").read_text() == view.page and len(list(tmp_path.iterdir())) == 1


def test_words_never_end_the_script():
    view = answer(phrase=HOSTILE).show(frames(), title=HOSTILE)
    assert view.page.count("</script>") == 2 and HOSTILE not in view.page
    assert page_answer(view)["phrases"][0]["text"] == HOSTILE


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_a_browser_shows_masks_and_lights_objects(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the extra `browser`")
    random = np.random.default_rng(0)
    shown = answer(frames=4, size=(37, 53), phrase="\N{BEACH WITH UMBRELLA}" + HOSTILE)
    shown.masks[:] = torch.from_numpy(random.random((2, 4, 37, 53)) > 0.4)
    shown.masks[0, :, 10:30, 10:30] = True
    shown.show(frames(4, (37, 53))).save(tmp_path / "answer.html")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "answer.html").as_uri())
        # The masks that it decodes are those of the answer.
        decoded = page.evaluate(
            "player.answer.objects.map((o) => o.masks.map((m) => Array.from(VideoGlammPlayer.decode(m))))"
        )
        found = np.array(decoded, bool).reshape(2, 4, 53, 37).swapaxes(2, 3)
        assert np.array_equal(found, shown.masks.numpy())
        assert page.locator(".vg-phrase").all_inner_texts() == [shown.phrases[0].text, "dog"]
        plain = page.evaluate("player.canvas.toDataURL()")
        page.locator(".vg-phrase").last.hover()
        assert page.evaluate("player.canvas.toDataURL()") != plain
        page.mouse.move(0, 0)
        page.keyboard.press("2")
        assert page.locator(".vg-object").last.get_attribute("class") == "vg-object vg-lit"
        page.keyboard.press("ArrowRight")
        assert page.locator(".vg-clock").inner_text().startswith("2 / 4")
        assert page.title() == "Answer" and not errors
        browser.close()
