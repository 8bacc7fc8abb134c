"""Starting the app."""

import os
from collections.abc import Callable
from typing import Any

from ..errors import InputError
from ..loading.models import load_model, load_processor
from ..toy import TINY_MODEL
from .settings import AppSettings


def start(
    model: str,
    settings: AppSettings,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    auth: tuple[str, str] | None = None,
    urls: bool = False,
    dtype: str | None = None,
    device: str | None = None,
    quantization: str = "none",
    say: Callable[[str], None] = print,
    wait: bool = True,
) -> Any:
    """Loads a model and serves the app.

    Args:
        model: Folder or Hub id.
        settings: What is allowed, and where sessions are kept.
        host: Address to listen on; others than this machine reach it only where this says so.
        port: Port; the next free one from 7860 if None.
        auth: A name and password that everybody must give.
        urls: Whether addresses may be given in place of files.
        dtype, device, quantization: As for `videoglamm segment`.
        say: Tells a person where the app is.
        wait: Return only when it is stopped.

    Returns:
        The `gradio.Server`, whose `blocks.close()` stops it.

    Raises:
        InputError: Gradio is not installed, or an option cannot be used.
    """
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise InputError("The app needs Gradio: pip install 'videoglamm-hf[app]'.") from error
    # Imported here, for they need Gradio.
    from .engine import Engine
    from .examples import made_examples
    from .server import build
    from .sessions import Sessions

    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    sessions = Sessions(settings)
    processor = load_processor(model)
    engine = Engine(load_model(model, dtype, device, quantization), processor, model, settings)
    examples = made_examples(settings.folder / "examples") if model == str(TINY_MODEL) else []
    app = build(engine, sessions, settings, examples, urls=urls)
    _, local, _ = app.launch(
        server_name=host,
        server_port=port,
        auth=auth,
        quiet=True,
        prevent_thread_lock=True,
        share=False,
        ssr_mode=False,
    )
    app.engine = engine
    # `Server.launch` makes the queue itself, and takes no length for it.
    app.blocks._queue.max_size = settings.waiting
    say(f"open {local}")
    if wait:
        try:
            app.blocks.block_thread()
        finally:
            app.blocks.close()
            if not settings.keep:
                sessions.clear()
    return app
