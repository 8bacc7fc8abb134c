"""What of an evaluation can be chosen; what is not follows the original's scripts."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .choices import OBJECTS
from .judging import Judge


@dataclass(frozen=True)
class Options:
    """Choices that questions and figures depend on.

    Attributes:
        prompt: What is asked, with a place for `{phrase}`; None for what the original's script asks.
        objects: Which objects of an answer are its mask where a benchmark takes one: `"last"`, `"first"` or `"all"`
            of them together.
        split: Which part of the data; None for the benchmark's own default.
        moments: Whether the moment that an answer says, as `frames:(3,9)`, is scored too, where there is one; then
            questions are about more than the moment.
        text_encoder: Folder or Hub id of the encoder that compares phrases; None compares words.
        judge, judge_model: Endpoint of a language model that judges captions, and its name there; None for no judge.
        judge_replies: Folder that keeps its replies; None keeps none.

    Raises:
        InputError: A choice is none of these.
    """

    prompt: str | None = None
    objects: str = "last"
    split: str | None = None
    moments: bool = False
    text_encoder: str | None = None
    judge: str | None = None
    judge_model: str | None = None
    judge_replies: Path | None = None

    def __post_init__(self) -> None:
        if self.objects not in OBJECTS:
            raise InputError(f"objects is {self.objects!r:.80}; there are {', '.join(OBJECTS)}")
        if (self.judge is None) != (self.judge_model is None):
            raise InputError("give both, where the judge is and the name of its model, or neither")
        if self.judge is not None:
            self.judging()
        if self.prompt is not None and not self.prompt.strip():
            raise InputError("the prompt is empty; leave --prompt out to ask as the original does")

    def judging(self) -> Judge:
        """The judge that was chosen."""
        return Judge(self.judge, self.judge_model, self.judge_replies)


def asked_sentence(template: str, options: Options, sentence: str) -> str:
    """The question that a sentence is already; with `--prompt`, the question about it, see [`asked`].

    Args:
        template: What follows the sentence.
        options: May have another template.
        sentence: As the data have it; it is asked as it is, with a full stop if nothing ends it.
    """
    if options.prompt is not None:
        return asked(options.prompt, options, sentence)
    sentence = " ".join(sentence.split())
    return f"{sentence}{'' if sentence.endswith(('.', '?', '!')) else '.'} {template}"


def asked(template: str, options: Options, phrase: str) -> str:
    """The question about a phrase.

    Args:
        template: What the original's script asks.
        options: May have another template.
        phrase: The words, as the data have them; they are asked about in lower case.
    """
    return (options.prompt or template).replace("{phrase}", " ".join(phrase.lower().split()))
