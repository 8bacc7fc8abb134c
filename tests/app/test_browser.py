"""The app in a real browser: Debian's Chromium, driven by Playwright."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the app's extra is not installed: pip install 'videoglamm-hf[app]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the extra `browser`")
from axe_playwright_python.sync_playwright import Axe  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
SIZES = {"wide": (1280, 900), "zoomed": (640, 450), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser, url):
    """A new browser's page; errors of its scripts fail the test."""
    # The page allows no strings to be run as scripts, and what waits for something here is one.
    context = browser.new_context(bypass_csp=True, viewport=dict(zip(("width", "height"), SIZES["wide"], strict=True)))
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    # What the server refuses, the browser notes by itself.
    opened.on(
        "console",
        lambda said: errors.append(said.text) if said.type == "error" and "status of 400" not in said.text else None,
    )
    opened.goto(url)
    yield opened
    context.close()
    assert not errors, errors


def ask(page, clip_file: Path, question: str = "Describe the video.") -> None:
    page.set_input_files("#file", clip_file)
    page.wait_for_function("media !== null")
    page.fill("#question", question)
    page.click("#send")
    page.wait_for_function("question !== null && !running", timeout=60000)


def masks(page) -> list:
    return page.evaluate("player.answer.objects.map((object) => object.masks)")


def at(page, x: float, y: float) -> tuple[float, float]:
    """Where on the screen a place of the frame is, 0 to 1."""
    page.locator(".vg-canvas").evaluate("(canvas) => canvas.scrollIntoView({ block: 'center' })")
    box = page.locator(".vg-canvas").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def corrected(page, steps: int) -> None:
    page.wait_for_function(f"!running && !document.getElementById('undo').disabled === {str(steps > 0).lower()}")


def test_words_appear_in_their_colours_and_masks_fill_the_timeline(page, clip_file):
    page.set_input_files("#file", clip_file)
    page.wait_for_function("media !== null")
    # Counts frames whose masks come while the answer is not whole yet.
    page.evaluate(
        "() => { window.midway = 0; const fill = player.fill.bind(player);"
        "player.fill = (...given) => { fill(...given); midway += running && question === null ? 1 : 0; }; }"
    )
    page.click("#send")
    page.wait_for_selector(".vg-phrase")
    first = page.locator(".vg-phrase").first
    assert first.evaluate("(e) => e.style.getPropertyValue('--own')") == "#e69f00"
    page.wait_for_function("question !== null && !running", timeout=60000)
    assert page.evaluate("midway") == 16
    assert page.inner_text(".vg-words").startswith("There is a cyan star")
    assert page.locator(".vg-bar").count() == 3
    assert "in 16 of 16 frames" in page.locator(".vg-bar").first.get_attribute("aria-label")


def test_phrase_object_and_frame_light_each_other(page, clip_file):
    ask(page, clip_file)
    page.locator(".vg-phrase").nth(1).click()
    assert page.locator(".vg-phrase").nth(1).get_attribute("aria-pressed") == "true"
    assert page.locator(".vg-object").nth(1).evaluate("(e) => e.classList.contains('vg-lit')")
    page.mouse.click(*at(page, 0.8, 0.2))  # the brown star
    assert page.locator(".vg-phrase").nth(2).get_attribute("aria-pressed") == "true"
    lit = page.evaluate("player.canvas.toDataURL()")
    page.locator(".vg-shown").nth(2).uncheck()
    assert page.evaluate("player.canvas.toDataURL()") != lit
    page.locator(".vg-color").nth(0).fill("#ff0000")
    assert page.locator(".vg-phrase").first.evaluate("(e) => e.style.getPropertyValue('--own')") == "#ff0000"


def test_clicks_boxes_and_brushes_correct_and_are_taken_back(page, clip_file):
    ask(page, clip_file)
    given = masks(page)
    page.locator(".vg-phrase").first.click()
    page.check("input[value=plus]")
    page.mouse.click(*at(page, 0.2, 0.5))
    corrected(page, 1)
    clicked = masks(page)
    assert clicked[0] != given[0] and clicked[1:] == given[1:]
    assert page.evaluate("earlier.objects.map((object) => object.masks)") == given
    page.check("#compare")
    both = page.evaluate("player.canvas.toDataURL()")
    page.locator(".vg-line").evaluate("(e) => { e.value = 0; e.dispatchEvent(new Event('input')); }")
    assert page.evaluate("player.canvas.toDataURL()") != both
    page.uncheck("#compare")
    # The box has the focus; z is none of its keys.
    page.keyboard.press("z")
    corrected(page, 0)
    assert masks(page) == given
    page.click("#redo")
    corrected(page, 1)
    assert masks(page) == clicked

    page.on("dialog", lambda dialog: dialog.accept("a corner"))
    page.check("input[value=box]")
    page.check("#fresh")
    page.mouse.move(*at(page, 0.02, 0.02))
    page.mouse.down()
    page.mouse.move(*at(page, 0.2, 0.2))
    page.mouse.up()
    page.wait_for_function("player.answer.objects.length === 4 && !running")
    assert "a corner" in page.inner_text(".vg-words")
    page.locator(".vg-name").nth(3).click()
    page.check("input[value=brush]")
    page.mouse.move(*at(page, 0.5, 0.9))
    page.mouse.down()
    page.mouse.move(*at(page, 0.6, 0.9))
    page.mouse.up()
    page.wait_for_function(
        "!running && VideoGlammPlayer.decode(player.answer.objects[3].masks[0])[106 * 192 + 172] === 1"
    )
    page.evaluate("player.chosen === 3 || player.choose(3)")
    page.click("#absent")
    page.wait_for_function("!running && player.answer.objects[3].masks[0] === null")
    page.click("#remove")
    page.wait_for_function("!running && player.answer.objects.length === 3")


def test_everything_survives_a_reload(page, clip_file):
    ask(page, clip_file)
    before = masks(page)
    page.locator(".vg-color").first.fill("#123456")
    page.reload()
    page.wait_for_function("typeof question !== 'undefined' && question !== null && player !== null")
    assert masks(page) == before and page.input_value("#question") == "Describe the video."
    assert page.locator(".vg-phrase").first.evaluate("(e) => e.style.getPropertyValue('--own')") == "#123456"
    assert page.locator(".vg-words").get_attribute("aria-busy") == "false"
    assert page.locator("nav [aria-current=true]").inner_text() == "Describe the video."


def test_files_are_taken_away_and_python_is_copied(page, clip_file):
    ask(page, clip_file)
    page.select_option("#format", "json")
    with page.expect_download() as download:
        page.click("#download")
    found = json.loads(Path(download.value.path()).read_text())
    assert found["text"] == page.inner_text(".vg-words") and download.value.suggested_filename.endswith("answer.json")
    page.wait_for_function("document.getElementById('status').textContent.endsWith('is among your downloads')")
    page.route("**/export/*/coco", lambda route: route.fulfill(status=400, json={"detail": "No room for it."}))
    page.select_option("#format", "coco")
    page.click("#download")
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error") == "No room for it." and page.locator("#download").is_enabled()
    page.click("#copy")
    page.wait_for_function("document.getElementById('status').textContent === 'copied'")
    compile(page.evaluate("navigator.clipboard.readText()"), "answer.py", "exec")


def test_logging_in(browser, served, tmp_path):
    context = browser.new_context()
    page = context.new_page()
    page.goto(served(tmp_path, auth=("ann", "secret")))
    page.fill("#username", "ann")
    page.fill("#password", "wrong")
    page.click("button")
    page.wait_for_selector("#error:not([hidden])")
    page.fill("#password", "secret")
    page.click("button")
    page.wait_for_selector("#drop")
    assert "small model" in page.locator("#model").inner_text()
    context.close()


def test_removing_asks_first(page, clip_file):
    ask(page, clip_file)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.get_by_label("remove shapes_28.mp4").click()
    assert asked == ["Remove shapes_28.mp4 and its answer for good?"]
    assert page.locator("nav .entry").count() == 2
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_label("remove shapes_28.mp4").click()
    page.wait_for_function("document.querySelectorAll('nav .entry').length === 0")
    assert page.locator("#work").is_hidden()


def test_keys(page, clip_file):
    ask(page, clip_file)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("player.frame") == 2
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("player.frame") == 1
    page.keyboard.press("3")
    assert page.evaluate("player.chosen") == 2
    page.keyboard.press(" ")
    page.wait_for_function("player.frame > 2")
    page.keyboard.press(" ")
    assert page.inner_text(".vg-play") == "Play"
    page.focus("#question")
    page.keyboard.type("z 1")
    assert page.input_value("#question").endswith("z 1") and page.evaluate("player.chosen") == 2


def test_cancel_and_errors_are_said_in_the_page(page, clip_file, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    page.set_input_files("#file", tmp_path / "broken.mp4")
    page.wait_for_selector("#error:not([hidden])")
    assert "broken.mp4" in page.inner_text("#error")
    page.set_input_files("#file", clip_file)
    page.wait_for_function("media !== null")
    assert page.locator("#error").is_hidden()
    page.evaluate(
        "() => { const speak = player.speak.bind(player);"
        "player.speak = (...given) => { speak(...given); byId('cancel').click(); }; }"
    )
    page.click("#send")
    page.wait_for_function("!running && document.querySelector('.vg-words').textContent !== ''")
    assert page.inner_text("#status") == "cancelled" and page.locator("#send").is_enabled()


def test_names_are_never_markup(page, clip_file, tmp_path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.mp4"
    hostile.write_bytes(clip_file.read_bytes())
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    ask(page, hostile, "<script>alert(2)</script> What moves?")
    assert "<img src=x" in page.inner_text("#history") and page.locator("#history img").count() == 0
    page.reload()
    page.wait_for_function("typeof question !== 'undefined' && question !== null")
    assert "<script>" in page.inner_text("#history")


def test_keys_are_the_players_after_something_was_drawn(page, clip_file):
    ask(page, clip_file)
    page.locator(".vg-phrase").first.click()
    page.check("input[value=plus]")
    page.mouse.click(*at(page, 0.2, 0.5))
    corrected(page, 1)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("[player.frame, tool()]") == [1, "plus"]
    page.keyboard.press("z")
    corrected(page, 0)
    # Escape drops what is being drawn.
    page.check("input[value=box]")
    page.mouse.move(*at(page, 0.1, 0.1))
    page.mouse.down()
    page.mouse.move(*at(page, 0.4, 0.4))
    assert page.evaluate("player.draft !== null")
    page.keyboard.press("Escape")
    page.mouse.up()
    assert page.evaluate("player.draft === null && running === null")


def test_quick_hands_do_one_thing_at_a_time(page, clip_file, tmp_path):
    ask(page, clip_file)
    rename = "attempt(() => correct('step', {step: 'rename', object: 0, label: '%s'}))"
    page.evaluate(f"Promise.all([{rename % 'one'}, {rename % 'two'}])")
    page.wait_for_function("!running")
    found = page.evaluate("fetch(`questions/${question}`).then((response) => response.json())")
    assert found["steps"] == {"back": 1, "forward": 0} and found["answer"]["objects"][0]["name"] == "one"
    # A correction that is refused leaves what there was.
    shown = masks(page)
    page.evaluate(rename % "<p>")
    page.wait_for_function("!running && !document.getElementById('error').hidden")
    assert masks(page) == shown and page.evaluate("player.answer.objects[0].name") == "one"
    # Asked twice and cancelled before the queue has taken it.
    page.evaluate(
        """async () => {
          byId("ask").requestSubmit();
          await new Promise((resolve) => setTimeout(resolve));
          byId("ask").requestSubmit();
          document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
        }"""
    )
    page.wait_for_function("!running")
    assert page.inner_text("#status") == "cancelled"
    assert page.evaluate("fetch('state').then((response) => response.json())")["questions"][1:] == []
    # Another video while there is work.
    page.evaluate("byId('ask').requestSubmit()")
    page.set_input_files("#file", clip_file)
    assert "being worked on" in page.inner_text("#error")
    page.wait_for_function("question !== null && !running", timeout=60000)
    assert page.evaluate("state.questions.every((one) => one.media === media)")


def test_a_reload_keeps_which_frames_are_asked_about(page, clip_file):
    page.set_input_files("#file", clip_file)
    page.wait_for_function("media !== null")
    page.evaluate("byId('num_frames').value = 3")
    page.click("#send")
    page.wait_for_function("question !== null && !running", timeout=60000)
    page.reload()
    page.wait_for_function("typeof question !== 'undefined' && question !== null && player !== null")
    assert page.input_value("#num_frames") == "3" and page.evaluate("player.answer.frames.length") == 3


def test_what_is_dropped_anywhere_does_not_leave_the_page(page):
    page.wait_for_function("state !== null")
    prevented = page.evaluate(
        """() => ["dragover", "drop"].map((kind) => {
          const event = new DragEvent(kind, { dataTransfer: new DataTransfer(), bubbles: true, cancelable: true });
          document.querySelector("main").dispatchEvent(event);
          return event.defaultPrevented;
        })"""
    )
    assert prevented == [True, True]
    page.wait_for_selector("#error:not([hidden])")
    assert "drop one video or picture" in page.inner_text("#error")


def test_another_tabs_doing_is_seen(page, url):
    page.get_by_text("shapes 28").click()
    page.wait_for_function("media !== null")
    page.evaluate("fetch(`media/${media}`, { method: 'DELETE' })")
    page.click("#send")
    page.wait_for_selector("#error:not([hidden])")
    assert "gone" in page.inner_text("#error")
    page.wait_for_function("document.querySelectorAll('#history li').length === 0")


def test_without_cookies_or_a_server_the_page_says_so(browser, url):
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    loads = []
    page.on("load", lambda _: loads.append(1))
    page.route("**/state", lambda route: route.fulfill(status=401, json={"detail": "lost"}))
    page.goto(url)
    page.wait_for_function("!document.getElementById('error').hidden")
    assert "cookie" in page.inner_text("#error") and len(loads) == 2
    page.unroute("**/state")
    page.goto(url)
    page.wait_for_function("state !== null && byId('error').hidden")
    context.set_offline(True)
    page.evaluate("attempt(() => call('POST', 'examples/0'))")
    page.wait_for_function("!document.getElementById('error').hidden")
    assert "cannot be reached" in page.inner_text("#error")
    context.close()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_serious_for_those_who_cannot_see_well(page, clip_file, size):
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    for _ in range(2):
        found = Axe().run(page)
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        assert not serious, [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]
        if page.evaluate("question === null"):
            ask(page, clip_file)
    # Nothing is wider than the page, and what one works with is there.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for part in ("#player", "#tool", "#send", "#history", "#download"):
        box = page.locator(part).bounding_box()
        assert box["width"] > 20 and box["x"] >= 0 and box["x"] + box["width"] <= SIZES[size][0] + 1, part
    if size == "wide":
        assert page.locator("nav").bounding_box()["x"] < page.locator("main").bounding_box()["x"]
    else:
        assert page.locator("nav").bounding_box()["y"] > page.locator("main").bounding_box()["y"]
