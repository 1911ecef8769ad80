"""A tokenizer of somebody else's, brought to read a text always in one way; and what can be asked of any of them.

What is asked is asked of the tokenizer itself, not read off a text that it may be unable to read.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from llmimg.errors import UserError

PIECES, WORDS = "image_pieces", "prompt_words"  # in tokenizer_config.json: what was added as tokens
_PROBES = ("12 124127", " 7,8\nclass: cat\n", "Hello, World! é 暗")


def settled(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Itself, with what would make ids depend on anything but the text switched off, and a token to pad with.

    `remarks` of the tokenizer says what was changed that a reader of results must know.
    """
    backend, said = tokenizer.backend_tokenizer, list(getattr(tokenizer, "remarks", ()))
    # How long a text may be is the model's and tokens.overflow's affair.
    backend.no_truncation()
    backend.no_padding()
    tokenizer.model_max_length = int(1e30)
    for name, meaning in (("dropout", "BPE dropout"), ("alpha", "sampling"), ("nbest_size", "sampling")):
        if getattr(backend.model, name, None):
            setattr(backend.model, name, None)
            said.append(f"The tokenizer had {meaning} on ({name}), which reads a text otherwise each time: it is off.")
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        # Padding is masked, and never read: the end of text will do, which every causal model has.
        tokenizer.pad_token = tokenizer.eos_token
    elif tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
        said.append("The tokenizer had no token to pad with: <pad> was added, which is masked and never read.")
    tokenizer.remarks = tuple(dict.fromkeys(said))
    return tokenizer


def compared_to_file(tokenizer: PreTrainedTokenizerFast, path: str) -> PreTrainedTokenizerFast:
    """A settled tokenizer, with a remark where it does not read as the `tokenizer.json` that it comes from."""
    file = Path(path) / "tokenizer.json"
    if file.is_file() and type(tokenizer) is not PreTrainedTokenizerFast:  # which does read as the file says
        backend = Tokenizer.from_file(str(file))
        backend.no_truncation()
        backend.no_padding()
        if getattr(backend.model, "dropout", None):
            backend.model.dropout = None
        if any(_ids(backend, text) != _ids(tokenizer.backend_tokenizer, text) for text in _PROBES):
            name = type(tokenizer).__name__
            remark = f"The tokenizer reads as transformers' {name} does, and not as {file} alone: look which was meant."
            tokenizer.remarks = (*getattr(tokenizer, "remarks", ()), remark)
    return tokenizer


def _ids(backend: Tokenizer, text: str) -> list[int] | None:
    try:
        return backend.encode(text, add_special_tokens=False).ids
    except Exception:  # a bare one, of a tokenizer that has no token for what it cannot read
        return None


def framing_of(backend: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts before and after a text, whatever that is.

    They are its post-processor's, which is put behind a tokenizer that knows one word and gives it an id of its own:
    what the tokenizer can read has no part in it.

    Raises:
        UserError: where it does more than to put something before and after.
    """
    text = backend.get_vocab_size() + 1_000_000
    probe = Tokenizer(models.WordLevel({"a": text}))
    if backend.post_processor is not None:
        probe.post_processor = backend.post_processor
    ids = probe.encode("a", add_special_tokens=True).ids
    if ids.count(text) != 1:
        raise UserError(
            "The tokenizer frames a text with more than what stands before and after it: take another one, or "
            "vocabulary=own."
        )
    index = ids.index(text)
    return ids[:index], ids[index + 1 :]


def unknown_id(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The id that stands for what the tokenizer cannot read; byte-level ones can read anything, whatever they
    declare."""
    backend = tokenizer.backend_tokenizer
    if isinstance(backend.model, models.Unigram):
        return json.loads(backend.to_str())["model"].get("unk_id")
    unknown = getattr(backend.model, "unk_token", None)
    return None if unknown is None else backend.token_to_id(unknown)


def encoded(backend: Tokenizer, texts: Sequence[str], offsets: bool = True) -> list[Encoding]:
    """Each text, unframed.

    Raises:
        UserError: what the tokenizer has no token for, where it has none that stands for the unknown either.
    """
    encode = backend.encode_batch if offsets else backend.encode_batch_fast
    try:
        return encode(list(texts), add_special_tokens=False)
    except Exception as error:
        if type(error) is not Exception:  # the tokenizers' own are bare
            raise
        text = next((text for text in texts if _ids(backend, text) is None), "")
        raise UserError(
            f"The tokenizer has no tokens for the text {text[:40]!r}, and none for what it cannot read ({error}): take "
            "another one, vocabulary=extend (where it is an image's text), or vocabulary=own."
        ) from error


def leaves_out(encoding: Encoding, text: str) -> bool:
    """Whether a letter or digit of the text stands in none of its tokens: a tokenizer without a token for the unknown
    may drop them."""
    covered = {index for start, end in encoding.offsets for index in range(start, end)}
    return any(character.isalnum() and index not in covered for index, character in enumerate(text))


def may_leave_out(backend: Tokenizer) -> bool:
    """Whether it could: not where it reads bytes."""
    parts = (backend.pre_tokenizer, backend.decoder)
    return not any("ByteLevel" in repr(part) for part in parts if part is not None)


def mark(tokenizer: PreTrainedTokenizerFast, name: str, texts: Sequence[str]) -> None:
    """Note in a tokenizer that these of its tokens are pieces, of images or answers (`PIECES`), or words of prompts
    (`WORDS`); it is saved with it."""
    tokenizer.init_kwargs[name] = list(dict.fromkeys([*marked(tokenizer, name), *texts]))


def marked(tokenizer: PreTrainedTokenizerFast, name: str) -> list[str]:
    """What `mark` noted, now or before it was saved."""
    return list(tokenizer.init_kwargs.get(name, ()))


def open_text_reader(tokenizer: PreTrainedTokenizerFast) -> Tokenizer | None:
    """The tokenizer as it was before pieces of images were added to it, which would take the words of a sentence for
    themselves; None where there are none."""
    pieces = set(marked(tokenizer, PIECES))
    if not pieces:
        return None
    written = json.loads(tokenizer.backend_tokenizer.to_str())
    written["added_tokens"] = [token for token in written["added_tokens"] if token["content"] not in pieces]
    return Tokenizer.from_str(json.dumps(written))


def inside_reader(backend: Tokenizer) -> Tokenizer | None:
    """The tokenizer as it reads what stands inside a text: without the space that it puts in front of a text
    (SentencePiece's dummy prefix, byte-level `add_prefix_space`); None where it puts none."""
    written = json.loads(backend.to_str())
    changed = [_without_prefix(written, part) for part in ("normalizer", "pre_tokenizer")]
    return Tokenizer.from_str(json.dumps(written)) if any(changed) else None


def _without_prefix(parent: Any, key: str | int) -> bool:
    """Take the space in front out of a part of a tokenizer.json, wherever it is nested; whether there was one."""
    part = parent[key]
    if part is None:
        return False
    inner = next((name for name in ("normalizers", "pretokenizers") if name in part), None)
    if inner:
        changed = [_without_prefix(part[inner], index) for index in range(len(part[inner]))]
        part[inner] = [each for each in part[inner] if each is not None]
        return any(changed)
    if part["type"] == "Prepend":
        parent[key] = None
        return True
    if part["type"] == "Metaspace" and part.get("prepend_scheme", "always") != "never":
        part["prepend_scheme"] = "never"
        return True
    if part["type"] == "ByteLevel" and part.get("add_prefix_space"):
        part["add_prefix_space"] = False
        return True
    return False
