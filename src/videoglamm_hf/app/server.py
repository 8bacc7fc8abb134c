"""The app's HTTP side: one page, the session's own files, and questions through Gradio's queue.

Of Gradio's own routes only those of the queue and of logging in are let through: nothing is uploaded to, or served
from, a folder that sessions share.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import gradio
from fastapi import Depends, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from .. import __version__
from ..downloads import PUBLIC_ONLY
from ..errors import InputError, MediaError, ResourceError, VideoGlammError
from ..media_files import is_url, local_file
from ..options import MASK_MODES
from ..player.page import asset
from .answer_state import steps_of
from .engine import Engine
from .examples import Example
from .exports import FORMATS, exported
from .media import checked_sampling, frame_file, frames_document, shown_frames, take_in
from .sessions import ABOUT, UPLOAD, Session, Sessions, read_json
from .settings import AppSettings

_COOKIE = "videoglamm_session"
_MONTH = 30 * 24 * 3600
# What of Gradio's routes may be reached; the app's own are all others that are let through.
_GRADIO = re.compile(r"/gradio_api/(queue/(join|data)|cancel|startup-events)/?|/login/?|/logout/?")
_OWN = re.compile(r"/(state|media|frames|questions|export|static|url|examples)(/.*)?|/")
# Scripts and styles come from this server alone, and nothing may frame the page but a Space.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STATIC = {
    "app.js": "text/javascript",
    "login.js": "text/javascript",
    "app.css": "text/css",
    "player.js": "text/javascript",
    "player.css": "text/css",
}
# Largest body that is no file: a correction of four million characters, with room.
_MOST_JSON = 8 * 2**20
_FUNCTIONS = {"ask": 0, "correct": 1}  # their numbers in Gradio's queue, as they are declared below
_NAME = 120  # characters of a file's name that are kept


def build(engine: Engine, sessions: Sessions, settings: AppSettings, examples: list[Example], *, urls: bool = False):
    """The app.

    Args:
        engine: Answers.
        sessions: Keeps them.
        settings: What is allowed.
        examples: Videos and questions that load at once.
        urls: Whether a URL may be given in place of a file; private addresses never.

    Returns:
        A `gradio.Server`; `launch` starts it.
    """
    app = gradio.Server(title="VideoGLaMM", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    if urls:
        os.environ[PUBLIC_ONLY] = "1"

    def session_of(request: Request) -> Session:
        try:
            return sessions.of(request.cookies.get(_COOKIE))
        except InputError as error:
            raise HTTPException(401, str(error)) from error

    own = Depends(session_of)

    @contextlib.asynccontextmanager
    async def room_for(session: Session, needed: int) -> AsyncIterator[None]:
        """While a file comes in, it has its room, and nothing of its session makes room for others."""
        room = sessions.room(needed)
        await run_in_threadpool(room.__enter__)
        with contextlib.ExitStack() as stack:
            stack.push(room)
            stack.enter_context(sessions.busy(session))
            yield

    @app.middleware("http")
    async def guarded(request: Request, call_next: Any) -> Response:
        path = request.url.path
        if not (_OWN.fullmatch(path) or _GRADIO.fullmatch(path)):
            return JSONResponse({"detail": "There is nothing here."}, 404)
        if request.method not in ("GET", "HEAD") and not _same_site(request):
            return JSONResponse({"detail": "This was sent by another site."}, 403)
        if request.method == "POST" and path != "/media":
            # What is no file is small, and says how large it is.
            length = request.headers.get("content-length", "")
            if not length.isdecimal() or len(length) > 12 or int(length) > _MOST_JSON:
                return JSONResponse({"detail": f"At most {_MOST_JSON >> 20} MB can be sent at once."}, 413)
        known = app.blocks.auth is None or app_user(request) is not None
        # The page to log in on has a style and a script, too.
        if not known and not (_GRADIO.fullmatch(path) or path.startswith("/static/")):
            return _login_page() if path == "/" else JSONResponse({"detail": "Log in first."}, 401)
        if path.rstrip("/") == "/gradio_api/queue/join" and known and not _is_work(await request.body()):
            return JSONResponse({"detail": "That is no question and no correction."}, 400)
        try:
            response = await call_next(request)
        except VideoGlammError as error:
            response = _refusal(error)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def app_user(request: Request) -> str | None:
        token = request.cookies.get(f"access-token-{app.cookie_id}") or request.cookies.get(
            f"access-token-unsecure-{app.cookie_id}"
        )
        return app.tokens.get(token)

    @app.exception_handler(VideoGlammError)
    async def refused(_: Request, error: VideoGlammError) -> Response:
        return _refusal(error)

    @app.api_route("/", methods=["GET", "HEAD"])
    def page(request: Request) -> Response:
        """The page; a browser that comes for the first time gets a session."""
        response = HTMLResponse(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
        try:
            sessions.of(request.cookies.get(_COOKIE))
        except InputError:
            # Spaces show pages in a frame of another site, over https.
            secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
            response.set_cookie(
                _COOKIE,
                sessions.secret(),
                max_age=_MONTH if settings.keep else None,
                httponly=True,
                secure=secure,
                samesite="none" if secure else "lax",
            )
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in _STATIC:
            raise HTTPException(404)
        text = asset(name) if name.startswith("player") else files(__package__).joinpath(name).read_text("utf-8")
        return Response(text, media_type=_STATIC[name])

    @app.get("/state")
    def state(session: Session = own) -> Any:
        """What a page needs to show a session: its media and questions, and what is allowed."""
        return {
            "media": session.media(),
            "questions": session.questions(),
            "functions": _FUNCTIONS,
            "formats": FORMATS,
            "modes": list(MASK_MODES),
            "mode": engine.model.config.mask_mode,
            "model": engine.shown_name,
            "urls": urls,
            "keep": settings.keep,
            "limits": {"upload_bytes": settings.upload_bytes, "most_frames": settings.most_frames},
            "examples": [{"name": one.name, "question": one.question} for one in examples],
        }

    @app.post("/media")
    async def upload(request: Request, session: Session = own) -> Any:
        """Takes in a file, which is the body; its name is the header `X-Name`, percent-encoded."""
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > settings.upload_bytes:
            raise _too_large(settings)
        most = int(declared) if declared.isdecimal() else settings.upload_bytes
        async with room_for(session, most):
            with _aside(session) as aside:
                size = 0
                with aside.open("wb") as file:
                    try:
                        async for chunk in request.stream():
                            size += len(chunk)
                            if size > most:
                                raise _too_large(settings)
                            file.write(chunk)
                    except ClientDisconnect as error:
                        raise MediaError("The file did not come whole; send it again.") from error
                name = _shown_name(unquote(request.headers.get("x-name", ""), errors="replace"))
                if not size:
                    raise MediaError(f"{name} is empty; choose another file.")
                return await run_in_threadpool(take_in, session, aside, name, engine.processor, settings)

    @app.post("/url")
    async def fetch(request: Request, session: Session = own) -> Any:
        """Takes in what lies at an address: `{"url": ...}`."""
        given = await _json_body(request)
        url = given.get("url")
        if not urls:
            raise InputError("This server takes no addresses; download the video, and drop it here.")
        if not (isinstance(url, str) and is_url(url) and not url[:5].lower() == "data:"):
            raise InputError("That is no http or https address.")

        def take() -> Any:
            with _aside(session) as aside, local_file(url) as found:
                if found.stat().st_size > settings.upload_bytes:
                    raise _too_large(settings)
                aside.write_bytes(found.read_bytes())
                name = _shown_name(unquote(url.split("?")[0].rstrip("/").rsplit("/", 1)[-1], errors="replace"))
                return take_in(session, aside, name, engine.processor, settings)

        async with room_for(session, settings.upload_bytes):
            return await run_in_threadpool(take)

    @app.post("/examples/{number}")
    def example(number: int, session: Session = own) -> Any:
        """Takes in one of the examples."""
        if not 0 <= number < len(examples):
            raise InputError("There is no such example.")
        sessions.make_room(examples[number].file.stat().st_size)
        with sessions.busy(session), _aside(session) as aside:
            aside.write_bytes(examples[number].file.read_bytes())
            return take_in(session, aside, examples[number].file.name, engine.processor, settings)

    @app.delete("/media/{name}")
    def remove_medium(name: str, session: Session = own) -> Any:
        session.remove("media", name)
        return {}

    @app.delete("/questions/{name}")
    def remove_question(name: str, session: Session = own) -> Any:
        session.remove("questions", name)
        return {}

    @app.post("/frames/{name}")
    async def frames(name: str, request: Request, session: Session = own) -> Any:
        """The frames of a medium, as they are asked about with a sampling."""
        sampling = checked_sampling(await _json_body(request), settings)
        folder = session.medium(name)
        await run_in_threadpool(sessions.make_room, 0, [folder])
        with sessions.busy(session):
            key, found = await run_in_threadpool(shown_frames, folder, sampling, engine.processor, settings)
        return frames_document(name, key, found, title=read_json(folder / ABOUT)["name"])

    @app.get("/frames/{name}/{key}/{number}.jpg")
    def frame(name: str, key: str, number: int, session: Session = own) -> Response:
        try:
            # Read at once: it may be removed while it is sent.
            content = frame_file(session.medium(name), key, number).read_bytes()
        except FileNotFoundError as error:
            raise InputError("There is no such frame.") from error
        return Response(
            content,
            media_type="image/jpeg",
            headers={"Cache-Control": "private, max-age=86400"},
        )

    @app.get("/questions/{name}")
    def question(name: str, session: Session = own) -> Any:
        """An answer, as the page shows it."""
        place = session.question(name)
        about = read_json(place / ABOUT)
        return {"question": about, "answer": read_json(place / "shown.json"), "steps": steps_of(place).state()}

    @app.get("/export/{name}/{format}")
    def export(name: str, format: str, session: Session = own) -> Response:
        sessions.make_room(0, _in_use(session, question=name))
        with sessions.busy(session):
            file, shown = exported(engine, session, name, format)
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(shown)}"}
        sent = BackgroundTask(shutil.rmtree, file.parent, ignore_errors=True)
        return FileResponse(file, headers=headers, media_type="application/octet-stream", background=sent)

    def worked(request: gradio.Request, work: Callable[[Session], Iterator[list]], **used: Any) -> Iterator[str]:
        try:
            session = sessions.of(request.cookies.get(_COOKIE))
            sessions.make_room(0, _in_use(session, **used))
        except VideoGlammError as error:
            yield _line([{"event": "error", "message": str(error)}])
            return
        with sessions.busy(session):
            for events in work(session):
                yield _line(events)

    @app.api(name="ask", concurrency_id="model", concurrency_limit=1)
    def ask(media: str, text: str, options: dict, request: gradio.Request) -> Iterator[str]:
        given = options if isinstance(options, dict) else {}
        yield from worked(request, lambda session: engine.ask(session, media, text, given), media=media)

    @app.api(name="correct", concurrency_id="model", concurrency_limit=1)
    def correct(question: str, action: str, step: dict, request: gradio.Request) -> Iterator[str]:
        yield from worked(request, lambda session: engine.correct(session, question, action, step), question=question)

    return app


def _line(events: list[dict[str, Any]]) -> str:
    # Each begins otherwise: Gradio sends what has changed since the one before, and nothing if nothing has.
    return f"{secrets.token_hex(2)} {json.dumps(events)}"


def _in_use(session: Session, *, media: Any = None, question: Any = None) -> list[Path]:
    """Folders of what is about to be used, which makes no room for itself; ids that are none are refused later."""
    found = []
    with contextlib.suppress(InputError):
        if question is not None:
            found.append(session.question(question))
            media = read_json(found[0] / ABOUT)["media"]
        found.append(session.medium(media))
    return found


def _is_work(body: bytes) -> bool:
    """Whether Gradio's queue can take it: of other numbers of functions, and hashes, it makes errors of its own."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(given, dict) or not isinstance(given.get("data"), list) or len(given["data"]) != 3:
        return False
    index, hash = given.get("fn_index"), given.get("session_hash")
    known = isinstance(index, int) and not isinstance(index, bool) and index in _FUNCTIONS.values()
    return known and isinstance(hash, str) and 0 < len(hash) <= 128


def _refusal(error: VideoGlammError) -> Response:
    status = 503 if isinstance(error, ResourceError) else 400
    return JSONResponse({"detail": str(error)}, status)


def _too_large(settings: AppSettings) -> MediaError:
    return MediaError(f"The file is larger than {settings.upload_bytes / 2**20:.0f} MB; make it smaller, or shorter.")


def _same_site(request: Request) -> bool:
    """Whether a request that changes something comes from this page: browsers say where it was sent from."""
    origin = request.headers.get("origin")
    host = request.headers.get("x-forwarded-host", request.headers.get("host"))
    return origin is None or origin.partition("://")[2] == host


async def _json_body(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        given = json.loads(body) if len(body) < 2**16 else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InputError("The request's body is no JSON object.")
    return given


@contextlib.contextmanager
def _aside(session: Session) -> Iterator[Path]:
    """A file to write to, which is gone afterwards."""
    session.folder.mkdir(exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=session.folder, prefix=UPLOAD)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _shown_name(given: str) -> str:
    """A file's name as a person reads it: one line, no path."""
    name = "".join(letter for letter in re.split(r"[/\\]", given)[-1] if letter.isprintable()).strip()
    return name[:_NAME] or "video"


def _login_page() -> Response:
    return HTMLResponse(files(__package__).joinpath("login.html").read_text(encoding="utf-8"), 401)
