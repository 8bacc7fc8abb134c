"""A Hugging Face Space of the app: the two files that one needs."""

from pathlib import Path

from .. import __version__
from ..output_files import explained_writes, replacing_file

_APP = '''"""A Space that serves VideoGLaMM."""

import os
from pathlib import Path

from videoglamm_hf.app.launch import start
from videoglamm_hf.app.settings import AppSettings
from videoglamm_hf.toy import TINY_MODEL

start(
    {model},
    AppSettings(Path(os.environ.get("VIDEOGLAMM_APP_FOLDER", "sessions")), keep=False),
    host="0.0.0.0",
    port=int(os.environ.get("PORT", "7860")),
)
'''


def write_space(folder: Path, model: str | None) -> None:
    """Writes `app.py`, `requirements.txt` and `README.md` with a Space's settings.

    Args:
        folder: Where to.
        model: Hub id or folder of the model; None for the small one that ships.

    Raises:
        OutputError: A file cannot be written.
    """
    front = {"title": "VideoGLaMM", "sdk": "gradio", "app_file": "app.py", "pinned": "false"}
    settings = "".join(f"{name}: {value}\n" for name, value in front.items())
    written = {
        "app.py": _APP.format(model="str(TINY_MODEL)" if model is None else repr(model)),
        "requirements.txt": f"videoglamm-hf[app]=={__version__}\n",
        "README.md": f"---\n{settings}---\n",
    }
    with explained_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in written.items():
            with replacing_file(folder / name) as aside:
                aside.write_text(text, encoding="utf-8")
