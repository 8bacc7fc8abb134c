"""Chat templates of the original's conversations, and what rendering one gives.

What a person typed is text and nothing else: a template is rendered with stand-ins for every typed text, so a question
that contains `<|end|>` or `[SEG]` cannot forge a token.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, TemplateError, TemplateSyntaxError, meta
from transformers.utils.chat_template_utils import render_jinja_template

from .errors import InputError

# What a user turn holds: its pictures, its videos, its words.
_USER_PARTS = (
    "{%- for part in turn.content if part.type == 'image' -%}"
    "{{- ('<im_start><image><im_end>' if image_start_end else '<image>') + '\\n' -}}"
    "{%- endfor -%}"
    "{%- for part in turn.content if part.type == 'video' -%}"
    "{{- ('<vid_start><video><vid_end>' if image_start_end else '<video>') + '\\n' -}}"
    "{%- endfor -%}"
    "{%- for part in turn.content if part.type == 'text' -%}{{- part.text -}}{%- endfor -%}"
)

# Phi-3's conversation as the original writes it: the visual tokens open their user turn.
PHI3_CHAT_TEMPLATE = (
    "{%- if messages[0].role == 'system' -%}"
    "{%- set system = messages[0].content[0].text -%}{%- set turns = messages[1:] -%}"
    "{%- else -%}"
    "{%- set system = 'You are a helpful AI assistant.' -%}{%- set turns = messages -%}"
    "{%- endif -%}"
    "{{- '<|system|>\\n' + system + '<|end|>\\n' -}}"
    "{%- for turn in turns -%}"
    "{%- if turn.role == 'user' -%}"
    "{{- '<|user|>\\n' -}}" + _USER_PARTS + "{{- '<|end|>\\n' -}}"
    "{%- else -%}"
    "{{- '<|assistant|>\\n' -}}"
    "{%- generation -%}"
    "{%- for part in turn.content -%}{{- part.text -}}{%- endfor -%}{{- '<|end|>' -}}"
    "{%- endgeneration -%}"
    "{{- '' if loop.last else '\\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{{- '<|assistant|>\\n' if add_generation_prompt else '' -}}"
)

# Llama's conversation as the original writes it (`conv_llama_3`): no tokens but the one that ends an answer.
LLAMA3_CHAT_TEMPLATE = (
    "{%- if messages[0].role == 'system' -%}"
    "{%- set system = messages[0].content[0].text -%}{%- set turns = messages[1:] -%}"
    "{%- else -%}"
    "{%- set system = 'A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user\\'s questions.' -%}"
    "{%- set turns = messages -%}"
    "{%- endif -%}"
    "{{- system + ' ' -}}"
    "{%- for turn in turns -%}"
    "{%- if turn.role == 'user' -%}"
    "{{- 'USER: ' -}}" + _USER_PARTS + "{{- ' ' -}}"
    "{%- else -%}"
    "{{- 'ASSISTANT:' -}}"
    "{%- generation -%}"
    "{{- ' ' -}}{%- for part in turn.content -%}{{- part.text -}}{%- endfor -%}{{- '<|end_of_text|>' -}}"
    "{%- endgeneration -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{{- 'ASSISTANT:' if add_generation_prompt else '' -}}"
)

# Stand-in of the n-th typed text in a rendered template; private-use characters no template writes.
_STAND_IN = "\ue000{}\ue001"
_GENERATION = re.compile(r"{%-?\s*(end)?generation\s*-?%}")
_STAND_IN_PATTERN = re.compile("\ue000(\\d+)\ue001")


def render_messages(
    messages: Sequence[dict[str, Any]], chat_template: str, *, add_generation_prompt: bool, **template_kwargs: Any
) -> list[tuple[str, str | None, bool]]:
    """Renders a conversation, keeping typed text apart from what the template writes.

    Args:
        messages: `{"role", "content": [{"type": "text" | "image" | "video", ...}]}`. Of pictures and videos the
            template sees the type, and the `url` if they are given by one.
        chat_template: A jinja template; assistant turns inside `{% generation %}` count as answers.

    Returns:
        `(text, role, is_answer)` triples in order; `role` is who typed the text, None for the template.

    Raises:
        InputError: The template refuses the conversation, or fails.
    """
    typed: list[tuple[str, str]] = []
    stand_ins = []
    for message in messages:
        content = []
        for part in message["content"]:
            key, words = ("text", part["text"]) if part["type"] == "text" else ("url", part.get("source"))
            if isinstance(words, str):
                content.append({"type": part["type"], key: _STAND_IN.format(len(typed))})
                typed.append((words, message["role"]))
            else:
                content.append({"type": part["type"]})
        stand_ins.append({"role": message["role"], "content": content})
    marked = marks_answers(chat_template)
    try:
        rendered, spans = render_jinja_template(
            conversations=[stand_ins],
            chat_template=chat_template,
            add_generation_prompt=add_generation_prompt,
            return_assistant_tokens_mask=marked,
            **template_kwargs,
        )
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A template is code of whoever wrote it, and also refuses in its own words.
        raise InputError(f"The chat template cannot be rendered: {type(error).__name__}: {error}") from error
    spans = spans[0] if marked else []
    cuts = sorted({0, len(rendered[0]), *(edge for span in spans for edge in span)})
    parts = []
    for start, end in itertools.pairwise(cuts):
        is_answer = any(first <= start < last for first, last in spans)
        for i, text in enumerate(_STAND_IN_PATTERN.split(rendered[0][start:end])):
            # Odd pieces of the split are the numbers of stand-ins.
            parts.append((*typed[int(text)], is_answer) if i % 2 else (text, None, is_answer))
    return [part for part in parts if part[0]]


def marks_answers(chat_template: str) -> bool:
    """Whether a template says which of its characters are the assistant's."""
    return _GENERATION.search(chat_template) is not None


def template_variables(template: str) -> set[str]:
    """Names that a chat template reads and a caller may set.

    Raises:
        InputError: If it is no template.
    """
    plain = _GENERATION.sub("", template)
    try:
        names = meta.find_undeclared_variables(Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain))
    except TemplateSyntaxError as error:
        raise InputError(f"The chat template cannot be read, line {error.lineno}: {error.message}.") from error
    return names - {"messages", "add_generation_prompt", "raise_exception", "strftime_now"}


def open_ended(parts: list[tuple[str, str | None, bool]], index: int) -> list[tuple[str, str | None, bool]]:
    """A rendered conversation up to the end of the last thing that was typed, which must be the assistant's."""
    last = max(i for i, (_, role, _) in enumerate(parts) if role is not None)
    if parts[last][1] != "assistant":
        raise InputError(
            f"Conversation {index} ends with a {parts[last][1]} message; continue_final_message goes on with one of "
            "the assistant's."
        )
    return parts[: last + 1]
