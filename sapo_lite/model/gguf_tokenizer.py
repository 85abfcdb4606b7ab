"""The tokenizer of a GGUF file, built from the file's metadata.

transformers' own reading of it differs from the published tokenizers: it takes bos for eos, splits text by
GPT-2's rule whatever the file says, and forgets tokens that were added to the vocabulary ("<think>").
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sapo_lite.errors import BackboneError, RenderError
from sapo_lite.model.chat_frame import render_frame
from sapo_lite.support.messages import one_of, quoted

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

# Values of tokenizer.ggml.token_type.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _SPLIT.replace("DIGITS", r"\p{N}{1,3}")
_QWEN2 = _SPLIT.replace("DIGITS", r"\p{N}")
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# tokenizer.ggml.pre -> the words that merges stay within. None: single digits, then GPT-2's rule.
_WORDS = {
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "tekken": _TEKKEN,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "smollm": None,
}
# With these, a word that is a token stays one token whatever the merges say, and bos comes first by default.
_WHOLE_WORDS = (_LLAMA3, _TEKKEN)


def build_tokenizer(name: str, metadata: Mapping[str, Any]) -> "PreTrainedTokenizerFast":
    """A tokenizer with the vocabulary, special tokens and chat template of a file.

    name: of the model, for messages
    metadata: values by their full keys ("tokenizer.ggml.model")

    Raises:
        BackboneError: the file has no tokenizer, or one of a kind that is not read.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    own = {key.removeprefix("tokenizer.ggml."): value for key, value in metadata.items()}
    _require_readable(name, own)
    spm = own["model"] == "llama"
    tokenizer = _sentence_piece(own) if spm else _byte_level(own)
    tokenizer.add_tokens([*_added(own, spaces=not spm)])
    tokens = {
        role: own["tokens"][number]
        for role in ("bos", "eos", "unknown", "padding")
        if (number := own.get(f"{role}_token_id")) is not None
    }
    if "bos" in tokens and own.get("add_bos_token", spm or _WORDS[own["pre"]] in _WHOLE_WORDS):
        bos = tokens["bos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B:1", special_tokens=[(bos, own["bos_token_id"])]
        )
    built = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens.get("bos"),
        eos_token=tokens.get("eos"),
        unk_token=tokens.get("unknown"),
        pad_token=tokens.get("padding"),
        chat_template=metadata.get("tokenizer.chat_template"),
        clean_up_tokenization_spaces=False,
    )
    _settle_end(name, built, own)
    return built


def _settle_end(name: str, tokenizer: "PreTrainedTokenizerFast", own: Mapping[str, Any]) -> None:
    """Compare the end-of-sequence token with the chat template's end of turn.

    The template's token replaces it where the file names none, or one that begins turns. Where both are
    possible (Gemma's `<eos>` and `<end_of_turn>`), answers end at either.

    Raises:
        BackboneError: the file's token is ordinary text.
    """
    eos = tokenizer.eos_token
    if eos is not None and own["token_type"][tokenizer.eos_token_id] == _NORMAL:
        raise BackboneError(
            f"{name}: expected a special token as its end of sequence (tokenizer.ggml.eos_token_id), found "
            f"{eos!r}, an ordinary one: answers would stop there. Use another file of the model."
        )
    if tokenizer.chat_template is None:
        return
    try:
        frame = render_frame(tokenizer, datetime.now())
    except RenderError:  # who loads the chat format says so
        return
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    ends = [token for token in special if token in frame.end]
    if ends and eos not in ends and (eos is None or eos in frame.before + frame.between):
        tokenizer.eos_token = ends[0]


def _require_readable(name: str, own: Mapping[str, Any]) -> None:
    safetensors = "Use the model's own folder or hub name instead."
    if not own.get("tokens") or not own.get("token_type"):
        raise BackboneError(f"{name}: expected a tokenizer in the file, found none. {safetensors}")
    kind, words = own.get("model"), own.get("pre")
    if kind not in ("gpt2", "llama"):
        raise BackboneError(
            f'{name}: expected a tokenizer of the kind "gpt2" or "llama" in the file, found {quoted(kind)}, '
            f"which is not read. {safetensors}"
        )
    if kind == "gpt2" and words not in _WORDS:
        raise BackboneError(
            f"{name}: expected {one_of(map(quoted, _WORDS))} as the tokenizer's rule for words "
            f"(tokenizer.ggml.pre), found {quoted(words)}, which is not known. {safetensors}"
        )


def _byte_level(own: Mapping[str, Any]) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = _WORDS[own["pre"]]
    vocabulary = {token: number for number, token in enumerate(own["tokens"])}
    merges = [tuple(merge.split(" ", 1)) for merge in own["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=words in _WHOLE_WORDS))
    if words == _QWEN2:
        tokenizer.normalizer = normalizers.NFC()
    split: Any = pre_tokenizers.Digits(individual_digits=True)
    if words is not None:
        split = pre_tokenizers.Split(Regex(words), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words is None)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentence_piece(own: Mapping[str, Any]) -> "Tokenizer":
    """SentencePiece's BPE: of all pairs, the one that makes the piece with the highest score is merged."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    # llama.cpp writes the spaces of user-defined pieces as spaces.
    pieces = [token.replace(" ", "▁") for token in own["tokens"]]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = _merges(pieces, own["scores"], own["token_type"])
    unknown = own.get("unknown_token_id", 0)
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=pieces[unknown], fuse_unk=True, byte_fallback=True)
    )
    prefix = own.get("add_space_prefix", True)
    spaces = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces]) if prefix else spaces
    decoder = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(decoder + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    return tokenizer


def _merges(pieces: Sequence[str], scores: Sequence[float], kinds: Sequence[int]) -> list[tuple[str, str]]:
    """Merges in the order of the pieces' scores, the highest first."""
    usable = {
        piece: score
        for piece, score, kind in zip(pieces, scores, kinds, strict=True)
        if kind in (_NORMAL, _USER_DEFINED)
    }
    merges = [
        (-score, -cut, cut - len(piece), piece[:cut], piece[cut:])
        for piece, score in usable.items()
        for cut in range(1, len(piece))
        if piece[:cut] in usable and piece[cut:] in usable
    ]
    return [(left, right) for *_, left, right in sorted(merges)]


def _added(own: Mapping[str, Any], *, spaces: bool) -> Iterator[Any]:
    """Tokens that are found in a text before it is split. Merges make those of spaces if not `spaces`."""
    from tokenizers import AddedToken

    for token, kind in zip(own["tokens"], own["token_type"], strict=True):
        if kind in (_UNKNOWN, _CONTROL) or (kind == _USER_DEFINED and (spaces or " " not in token)):
            yield AddedToken(token, special=kind != _USER_DEFINED, normalized=False)
