"""What belongs to one browser, on disk."""

import os

import pytest

from videoglamm_hf import InputError
from videoglamm_hf.app.answer_state import Steps
from videoglamm_hf.app.sessions import ABOUT, Sessions, write_json
from videoglamm_hf.app.settings import AppSettings
from videoglamm_hf.errors import ResourceError

SECRET, OTHER = "a" * 43, "b" * 43


def medium(session, size: int, age: float) -> str:
    """A medium of some bytes that was last used a while ago."""
    name, folder = session.new("media")
    (folder / "source").write_bytes(bytes(size))
    write_json(folder / ABOUT, {"id": name, "made": -age, "name": "a.mp4"})
    os.utime(folder, (10**9 - age, 10**9 - age))
    return name


@pytest.mark.parametrize("secret", [None, "", "short", "../" * 20, "a" * 65, "ä" * 43, b"a" * 43])
def test_a_secret_that_is_none_opens_nothing(tmp_path, secret):
    with pytest.raises(InputError, match="load it again"):
        Sessions(AppSettings(tmp_path)).of(secret)
    assert not list(tmp_path.iterdir())


def test_a_secret_opens_its_own_folder_and_is_not_in_its_name(tmp_path):
    sessions = Sessions(AppSettings(tmp_path))
    own = sessions.of(SECRET)
    assert sessions.of(SECRET).folder == own.folder != sessions.of(OTHER).folder
    assert SECRET not in str(own.folder)
    assert sessions.of(Sessions.secret()).folder != sessions.of(Sessions.secret()).folder


@pytest.mark.parametrize("name", [None, 3, "", ".", "..", "../media", "0" * 16, "0" * 15 + "/", ["a"], "A" * 16])
def test_an_id_that_is_none_finds_nothing(tmp_path, name):
    session = Sessions(AppSettings(tmp_path)).of(SECRET)
    medium(session, 1, 0)
    for find in (session.medium, session.question):
        with pytest.raises(InputError, match="is gone"):
            find(name)


def test_what_was_used_longest_ago_makes_room(tmp_path):
    sessions = Sessions(AppSettings(tmp_path, disk_bytes=10_000))
    mine, other = sessions.of(SECRET), sessions.of(OTHER)
    kept, oldest, used = medium(mine, 3000, 10), medium(other, 3000, 30), medium(mine, 3000, 20)
    mine.medium(used)  # looked at again
    sessions.make_room(3000)
    assert other.media() == [] and {one["id"] for one in mine.media()} == {kept, used}
    sessions.make_room(6000)
    assert [one["id"] for one in mine.media()] == [used]
    assert oldest not in (kept, used)


def test_what_is_used_now_stays(tmp_path):
    sessions = Sessions(AppSettings(tmp_path, disk_bytes=5000))
    session = sessions.of(SECRET)
    medium(session, 4000, 10)
    with sessions.busy(session), pytest.raises(ResourceError, match="no room left"):
        sessions.make_room(3000)
    assert len(session.media()) == 1
    sessions.make_room(3000)
    assert session.media() == []


def test_nothing_is_kept_where_nothing_is_to_be(tmp_path):
    medium(Sessions(AppSettings(tmp_path)).of(SECRET), 10, 0)
    (tmp_path / "mine.txt").write_text("not the app's")
    assert Sessions(AppSettings(tmp_path, keep=False)).of(SECRET).media() == []
    assert (tmp_path / "mine.txt").exists()


def test_a_medium_that_was_never_finished_is_not_listed(tmp_path):
    session = Sessions(AppSettings(tmp_path)).of(SECRET)
    session.new("media")
    assert session.media() == []


def test_a_session_takes_no_room_until_something_is_put_into_it(tmp_path):
    sessions = Sessions(AppSettings(tmp_path))
    session = sessions.of(SECRET)
    assert session.media() == [] and session.questions() == [] and not list(tmp_path.iterdir())
    medium(session, 1, 0)
    assert len(session.media()) == 1


def test_room_is_promised_once(tmp_path):
    sessions = Sessions(AppSettings(tmp_path, disk_bytes=10_000))
    with sessions.room(6000):
        with pytest.raises(ResourceError, match="no room left"), sessions.room(6000):
            pass
        with sessions.room(4000):
            pass
    with sessions.room(10_000):
        pass


def test_what_a_killed_server_left_of_an_upload_goes(tmp_path):
    sessions = Sessions(AppSettings(tmp_path))
    session = sessions.of(SECRET)
    session.folder.mkdir()
    old, new = session.folder / ".upload-old", session.folder / ".upload-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (10**9, 10**9))
    with sessions.busy(session):
        sessions.make_room(0)
    assert old.exists()
    sessions.make_room(0)
    assert not old.exists() and new.exists()


def test_steps_say_how_many_can_be_taken_back_and_become_not_too_large():
    step = {"step": "rename", "object": 0, "label": "x"}
    assert Steps([step] * 150, 150).state() == {"back": 100, "forward": 0}
    assert Steps([step] * 150, 120).state() == {"back": 70, "forward": 30}
    assert Steps([step] * 3, 2).state() == {"back": 2, "forward": 1}
    large = Steps([step | {"label": "x" * 2**21}] * 16, 16)
    with pytest.raises(InputError, match="too many to keep"):
        large.take(None, "step", step)
    assert large.at == 16
