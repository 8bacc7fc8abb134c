"""The original's tokenizer: Phi-3's slow SentencePiece one, loaded as a fast one with the same ids, or Llama-3's.

Source of the rules: the original's `chat.py` (which tokens are added, in which order) and transformers 4.41
(`PreTrainedTokenizerBase._from_pretrained`, `PreTrainedTokenizer._add_tokens`, `LlamaTokenizer.tokenize`).
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import generate_merges

from ..errors import CheckpointError, VideoGlammError
from ..messages import IMAGE_TOKEN, SEG_TOKEN, VIDEO_TOKEN
from .checkpoint_reader import read_json

# Llama-3's, as transformers 4 and 5 call it.
_FAST_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
START_END_TOKENS = ("<im_start>", "<im_end>")

# What the slow LlamaTokenizer of transformers 4.41 takes for granted.
_NAMED_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
# Kinds of SentencePiece pieces that text is made of: normal, user-defined and unused; not control or bytes.
_TEXT_PIECES = (1, 4, 5)
_FLAGS = ("lstrip", "rstrip", "single_word", "normalized")


def load_original_tokenizer(folder: Path, *, image_start_end: bool) -> tuple[PreTrainedTokenizerBase, list[str]]:
    """The tokenizer as the original has it after loading, every token of the vocabulary included.

    Args:
        folder: Folder with `tokenizer_config.json`, `tokenizer.model` (or `tokenizer.json`) and, if there is
            one, `added_tokens.json`. `special_tokens_map.json` is not read: neither does transformers 4.41
            where `tokenizer_config.json` lists the added tokens.
        image_start_end: Whether `<im_start>` and `<im_end>` are added (`mm_use_im_start_end`).

    Returns:
        The tokenizer, padding with the unknown token; and the tokens in front of which the original drops the
        dummy space that starts every text, those the slow tokenizer called `all_special_tokens`.

    Raises:
        CheckpointError: If files are missing, or ids or flags of added tokens do not survive loading.
    """
    settings = _settings(folder)
    kind, legacy = settings.get("tokenizer_class"), settings.get("legacy")
    if kind in _FAST_CLASSES and (folder / "tokenizer.json").is_file():
        return _with_original_additions(_load(PreTrainedTokenizerFast, folder), folder, image_start_end), []
    if kind not in ("LlamaTokenizer", "LlamaTokenizerFast") or legacy is not False:
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'} describes a {kind} with legacy = {legacy}; Phi-3's "
            "tokenizer is a LlamaTokenizer with legacy = false, Llama-3's a PreTrainedTokenizerFast with "
            "tokenizer.json. Is this the tokenizer of the checkpoint?"
        )
    if not isinstance(settings.get("added_tokens_decoder"), dict):
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'} lists no added tokens ('added_tokens_decoder'). Load and "
            "save the tokenizer once with transformers 4.41, which the original uses."
        )
    tokenizer = _load(LlamaTokenizer, folder)
    if not (folder / "tokenizer.json").exists():
        _rank_merges_by_score(tokenizer, folder / "tokenizer.model")
    _check_added_tokens(tokenizer, settings, folder)
    before = set(tokenizer.get_added_vocab())
    _with_original_additions(tokenizer, folder, image_start_end)
    added = [token for token in START_END_TOKENS if token in tokenizer.get_added_vocab() and token not in before]
    return tokenizer, list(dict.fromkeys([*_special_tokens(settings), *added]))


def add_placeholders(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """Adds `<image>` and `<video>` behind the vocabulary, where no row of the embeddings can generate them.

    Returns:
        Their ids: the size of the vocabulary before, and one more.

    Raises:
        CheckpointError: If the tokenizer has them already.
    """
    present = [token for token in (IMAGE_TOKEN, VIDEO_TOKEN) if token in tokenizer.get_vocab()]
    if present:
        raise CheckpointError(
            f"The tokenizer already has {present}, which this package adds itself. Is the checkpoint one "
            "that was converted before?"
        )
    tokenizer.add_tokens([IMAGE_TOKEN, VIDEO_TOKEN], special_tokens=True)
    return tuple(tokenizer.convert_tokens_to_ids([IMAGE_TOKEN, VIDEO_TOKEN]))


def _load(kind: type[PreTrainedTokenizerBase], folder: Path) -> PreTrainedTokenizerBase:
    try:
        return kind.from_pretrained(folder)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"The tokenizer in {folder} cannot be loaded ({reason}). Download its files again."
        ) from error


def _with_original_additions(
    tokenizer: PreTrainedTokenizerBase, folder: Path, image_start_end: bool
) -> PreTrainedTokenizerBase:
    """The tokens that the original adds, in its order; it pads with the unknown token, else the end of sequence."""
    tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    added = [token for token in START_END_TOKENS if image_start_end and token not in tokenizer.get_vocab()]
    tokenizer.add_tokens(added, special_tokens=True)
    if SEG_TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([SEG_TOKEN])
    _check_contiguous(tokenizer, folder)
    return tokenizer


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file() or not any((folder / name).is_file() for name in ("tokenizer.model", "tokenizer.json")):
        raise CheckpointError(
            f"{folder} lacks its tokenizer: tokenizer_config.json and tokenizer.model are needed. "
            "Download them from where the checkpoint came."
        )
    needed = [name for name in ("sentencepiece", "google.protobuf") if not _is_installed(name)]
    if needed and not (folder / "tokenizer.json").is_file():
        raise VideoGlammError(
            f"Reading tokenizer.model takes {' and '.join(needed)}: pip install 'videoglamm-hf[convert]'."
        )
    return read_json(path)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _rank_merges_by_score(tokenizer: PreTrainedTokenizerBase, vocabulary: Path) -> None:
    """Orders the merges as SentencePiece does, by the score of what they make.

    transformers 5 orders them by id, which differs where a piece has an early id and a low score: Llama's runs
    of spaces.
    """
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(vocabulary.read_bytes())
    ids = {piece.piece: i for i, piece in enumerate(model.pieces)}
    scores = [(piece.piece, piece.score) for piece in model.pieces if piece.type in _TEXT_PIECES]
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["model"]["merges"] = [list(merge) for merge in generate_merges(ids, scores)]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))


def _check_added_tokens(tokenizer: PreTrainedTokenizerBase, settings: dict[str, Any], folder: Path) -> None:
    """Every added token has the id and the flags that the files give it."""
    loaded = {token.content: (index, token) for index, token in tokenizer.added_tokens_decoder.items()}
    listed = folder / "added_tokens.json"
    try:
        ids = {content: int(i) for content, i in (read_json(listed) if listed.is_file() else {}).items()}
        expected: dict[str, tuple[int, dict[str, Any]]] = {content: (i, {}) for content, i in ids.items()}
        for i, token in settings["added_tokens_decoder"].items():
            expected[token["content"]] = (int(i), {flag: token[flag] for flag in _FLAGS if flag in token})
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"The lists of added tokens in {folder} are malformed ({error!r}).") from error
    for content, (index, flags) in expected.items():
        if content not in loaded:
            raise CheckpointError(f"The tokenizer in {folder} lost the added token {content!r} when loading.")
        got, token = loaded[content]
        found = {flag: getattr(token, flag) for flag in flags}
        if got != index or ids.get(content, index) != index or found != flags:
            raise CheckpointError(
                f"Added token {content!r} of {folder} should have id {index} and flags {flags}, but loads "
                f"with id {got} and flags {found}, and added_tokens.json says {ids.get(content)}. Its "
                "tokenizer files contradict each other; download them again."
            )


def _check_contiguous(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    vocabulary = tokenizer.get_vocab()
    highest = max(vocabulary.values())
    if highest + 1 != len(vocabulary):
        raise CheckpointError(
            f"The tokenizer in {folder} has {len(vocabulary)} tokens but ids up to {highest}; the original "
            "needs ids without gaps."
        )


def _special_tokens(settings: dict[str, Any]) -> list[str]:
    """What the slow tokenizer calls `all_special_tokens` after loading, but for the file's padding token.

    The original makes the unknown token the padding token.
    """
    named = [settings.get(key) or default for key, default in _NAMED_TOKENS.items()]
    tokens = [*named, *(settings.get("additional_special_tokens") or [])]
    return [token["content"] if isinstance(token, dict) else token for token in tokens]
