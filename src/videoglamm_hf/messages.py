"""What a conversation is made of, and whether something is one.

A conversation is a list of messages `{"role": ..., "content": ...}`; its content is text or a list of parts
`{"type": "text" | "video" | "image", ...}`. [`message_problems`] says what is wrong with one, for the processor and
for training samples alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import InputError
from .frame_sampling import SAMPLING_OPTIONS
from .options import name_problem

IMAGE_TOKEN = "<image>"
VIDEO_TOKEN = "<video>"
SEG_TOKEN = "[SEG]"

ROLES = ("system", "user", "assistant")
VISUALS = ("video", "image")
# Where a part may say what its video or picture is, beside the name of its type.
SOURCES = ("path", "url", "base64")
# What a part may say, by its type.
_PART_KEYS = {
    "text": ("type", "text"),
    "video": ("type", "video", *SOURCES, *SAMPLING_OPTIONS),
    "image": ("type", "image", *SOURCES),
}
# Parts as OpenAI's interface names them.
_OPENAI_TYPES = {"image_url": "image", "video_url": "video"}

# Where something is wrong, as in `messages[1].content[0].text`, and what.
Problem = tuple[str, str]


def message_problems(conversation: Any, where: str = "messages") -> Iterator[Problem]:
    """Everything that keeps a conversation from being rendered; never raises, whatever it is given.

    Args:
        conversation: What should be a list of messages.
        where: What places call it.
    """
    if not is_list(conversation) or not conversation:
        yield where, "must be a list of messages; give at least one of the user"
        return
    for i, message in enumerate(conversation):
        place = f"{where}[{i}]"
        role = message.get("role") if isinstance(message, Mapping) else None
        if not isinstance(role, str) or role not in ROLES:
            found = f", not with role {role!r:.40}" if role is not None else ""
            yield place, f"must be a dict with 'role' ({', '.join(ROLES)}) and 'content'{found}"
            return
        unknown = name_problem(_given(message), ("role", "content"), "of a message")
        if unknown:
            yield place, unknown
        if role == "system" and i > 0:
            yield f"{place}.role", "'system' cannot be here; only the first message can be one of the system"
        content = message.get("content")
        if not isinstance(content, str) and not is_list(content):
            yield f"{place}.content", f"must be text or a list of parts, not {type(content).__name__}"
            continue
        parts = parts_of(content)
        problems = [p for j, part in enumerate(parts) for p in _part_problems(part, f"{place}.content[{j}]")]
        yield from problems
        if problems:
            continue
        if not any(part["type"] == "text" and part["text"].strip() for part in parts):
            yield f"{place}.content", "has no text; ask or answer something"


def visual_problems(conversation: Sequence[dict[str, Any]], where: str) -> Iterator[Problem]:
    """Videos and pictures where a conversation without other problems cannot have them."""
    visuals = 0
    for i, message in enumerate(conversation):
        for j, part in enumerate(parts_of(message["content"])):
            visuals += part["type"] != "text"
            if part["type"] != "text" and message["role"] != "user":
                place, role = f"{where}[{i}].content[{j}]", message["role"]
                yield place, f"a {part['type']} belongs to a user message, not to a {role} one"
    if visuals > 1:
        yield where, f"has {visuals} videos or images; the model answers about one at a time"


def checked_messages(conversation: Any, index: int, need_sources: bool = True) -> list[dict[str, Any]]:
    """A conversation as the processor reads it: dicts with a list of parts, what each visual is under `source`.

    Args:
        conversation: Messages, or objects with their fields; parts may be OpenAI's.
        index: The number of the conversation, for what messages call it.
        need_sources: Whether a visual must say what it is; the text of a prompt can be made without.

    Raises:
        InputError: For the first of [`message_problems`], a visual that is given not at all or twice, and an option
            that a part cannot have.
    """
    where = f"Conversation {index}: messages"
    plain = [_plain(message) for message in conversation] if is_list(conversation) else conversation
    # The second is only asked if the first finds nothing.
    for problems in (message_problems, visual_problems):
        for place, problem in problems(plain, where):
            raise InputError(f"{place}: {problem}.")
    if not any(message["role"] == "user" for message in plain):
        raise InputError(f"{where}: has no user message.")
    return [
        {
            "role": message["role"],
            "content": [
                _sourced(part, f"{where}[{i}].content[{j}]", need_sources)
                for j, part in enumerate(parts_of(message["content"]))
            ],
        }
        for i, message in enumerate(plain)
    ]


def parts_of(content: Any) -> list[Any]:
    """The content of a message as a list of parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def visual_of(messages: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The part of checked messages that is a video or picture, or None."""
    parts = (part for message in messages for part in message["content"])
    return next((part for part in parts if part["type"] != "text"), None)


def with_source(messages: Sequence[dict[str, Any]], source: Any) -> list[dict[str, Any]]:
    """Messages whose video or picture part has this as its source."""
    return [
        {
            **message,
            "content": [
                {"type": part["type"], part["type"]: source} if part.get("type") in VISUALS else part
                for part in parts_of(message["content"])
            ],
        }
        for message in messages
    ]


def is_list(value: Any) -> bool:
    """Whether something is a list of others, not a text."""
    return isinstance(value, (list, tuple))


def _part_problems(part: Any, where: str) -> Iterator[Problem]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(kind, str) or kind not in _PART_KEYS:
        yield where, f"must be a dict of type 'text' (with 'text'), 'video' or 'image', not {part!r:.80}"
        return
    if kind == "text" and not isinstance(part.get("text"), str):
        yield f"{where}.text", f"must be text, not {type(part.get('text')).__name__}"
    elif kind == "text" and not is_unicode(part["text"]):
        yield f"{where}.text", "holds half a surrogate pair, which no tokenizer reads"
    unknown = name_problem(_given(part), _PART_KEYS[kind], f"of a part of type {kind!r}")
    if unknown:
        yield where, unknown


def _given(fields: Mapping[str, Any]) -> list[str]:
    """Names of what is not None: Arrow tables fill gaps with it."""
    return [name for name, value in fields.items() if value is not None]


def _plain(message: Any) -> Any:
    """A message as a dict, its parts too; what is none stays as it is."""
    fields = _fields(message)
    if fields is None or not is_list(fields.get("content")):
        return message if fields is None else fields
    return {**fields, "content": [_plain_part(part) for part in fields["content"]]}


def _plain_part(part: Any) -> Any:
    fields = _fields(part)
    kind = fields.get("type") if fields else None
    if not isinstance(kind, str) or kind not in _OPENAI_TYPES:
        return part if fields is None else fields
    if kind not in fields:
        return {**fields, "type": _OPENAI_TYPES[kind]}
    given = fields.pop(kind)
    source = _fields(given)
    # How finely a server would look is OpenAI's alone.
    inner = {"url": given} if source is None else {k: v for k, v in source.items() if k != "detail"}
    return {**fields, **inner, "type": _OPENAI_TYPES[kind]}


def _fields(given: Any) -> dict[str, Any] | None:
    """The fields of a dict or object that are not None; None if it has no fields."""
    fields = given if isinstance(given, Mapping) else getattr(given, "__dict__", None)
    return None if fields is None else {name: value for name, value in fields.items() if value is not None}


def _sourced(part: dict[str, Any], place: str, needed: bool) -> dict[str, Any]:
    """A part with what its video or picture is under `source`."""
    kind = part["type"]
    if kind == "text":
        return {"type": "text", "text": part["text"]}
    given = [name for name in (kind, *SOURCES) if part.get(name) is not None]
    if len(given) > 1 or (needed and not given):
        raise InputError(f"{place}: give the {kind} once, as '{kind}', 'path', 'url' or 'base64'.")
    if not given:
        return {"type": kind}
    source = part[given[0]]
    if given[0] == "base64":
        if not isinstance(source, str):
            raise InputError(f"{place}.base64: must be text, not {type(source).__name__}.")
        source = f"data:;base64,{source}"
    options = {name: part[name] for name in SAMPLING_OPTIONS if part.get(name) is not None}
    return {**options, "type": kind, "source": source}


def is_unicode(text: str) -> bool:
    """Whether a text can be written; half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
