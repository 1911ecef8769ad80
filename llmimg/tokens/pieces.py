"""Tokenizers of pieces alone: `own`, one token a piece, and what `learn` made of runs of them; and tokens that are put
behind the pieces, so that images are read as if they were not there."""

import copy
import json
import re
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from llmimg.textify import Lexicon

SPECIAL = {"pad": "<pad>", "unk": "<unk>", "bos": "<bos>", "eos": "<eos>", "mask": "<mask>"}
_PRIVATE = 0xF0000  # the first character of plane 15, which no text of pieces holds


def own_tokenizer(lexicon: Lexicon, before: PreTrainedTokenizerFast | None = None) -> PreTrainedTokenizerFast:
    """A Hugging Face tokenizer with one token a piece, which frames a text as `<bos> … <eos>`.

    Args:
        before: if it is one that was made of these pieces before, and may know more, it is taken.
    """
    made_before = before if before and is_of_pieces(before) and not characters_of(before.backend_tokenizer) else None
    if made_before is not None and None not in tokens_of(made_before, lexicon.pieces):
        return made_before
    vocabulary = {text: index for index, text in enumerate([*SPECIAL.values(), *dict.fromkeys(lexicon.pieces)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk"]))
    pieces = Regex("|".join(map(re.escape, longest_first(lexicon.pieces))))
    backend.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    backend.decoder = decoders.Fuse()  # pieces are joined by nothing
    return framed(backend)


def framed(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """A tokenizer that has the special tokens, with what makes it one of ours."""
    backend.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL['bos']} $A {SPECIAL['eos']}",
        special_tokens=[(SPECIAL[each], backend.token_to_id(SPECIAL[each])) for each in ("bos", "eos")],
    )
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def is_of_pieces(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether it has tokens for pieces alone: it was made here, or by the run that it comes from."""
    ours = {f"{name}_token": token for name, token in SPECIAL.items()}
    return ours.items() <= tokenizer.special_tokens_map.items()


def private_characters(texts: Iterable[str], first: int = 0) -> dict[str, str]:
    """Text → a private character for each, which stands for it in what BPE is learned of; texts that are the same have
    one."""
    return {text: chr(_PRIVATE + index) for index, text in enumerate(dict.fromkeys(texts), first)}


def characters_of(backend: Tokenizer) -> dict[str, str]:
    """The private characters of a learned tokenizer, the pieces' first; of any other there are none."""
    normalizer = {} if backend.normalizer is None else json.loads(backend.normalizer.__getstate__())
    found = {
        each["pattern"]["String"]: each["content"]
        for each in normalizer.get("normalizers", ())
        if each["type"] == "Replace" and "String" in each["pattern"]
    }
    private = all(len(character) == 1 and ord(character) >= _PRIVATE for character in found.values())
    return dict(sorted(found.items(), key=lambda named: named[1])) if private else {}


def tokens_of(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> list[int | None]:
    """The token that a tokenizer of pieces has for each text; None where it has none."""
    characters, vocabulary = characters_of(tokenizer.backend_tokenizer), tokenizer.get_vocab()
    return [vocabulary.get(characters.get(text, text)) for text in texts]


def put_behind(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of pieces with a token for each of some texts besides, their ids behind the others'; those that have
    one keep it.

    In a text, they are found only where none that was there before is: as pieces follow each other without a gap in an
    image's text, it is read as before, even where a text of these stands in it.
    """
    texts = list(dict.fromkeys(filter(None, texts)))
    known = tokens_of(tokenizer, texts)
    new = [text for text, token in zip(texts, known, strict=True) if token is None]
    if not new:
        return tokenizer
    written = json.loads(tokenizer.backend_tokenizer.to_str())
    characters = characters_of(tokenizer.backend_tokenizer)
    if characters:
        private = private_characters(new, len(characters))
        _replace_behind(written, private)
        names = list(private.values())
    else:
        written["pre_tokenizer"]["pattern"]["Regex"] += "".join(f"|{re.escape(text)}" for text in longest_first(new))
        names = new
    return _with_entries(tokenizer, written, names)


def put_names(tokenizer: PreTrainedTokenizerFast, names: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of pieces with further tokens, which no text is read as; their ids are behind the others'."""
    return _with_entries(tokenizer, json.loads(tokenizer.backend_tokenizer.to_str()), list(names))


def _replace_behind(written: dict, private: dict[str, str]) -> None:
    written["normalizer"]["normalizers"] += [
        {"type": "Replace", "pattern": {"String": text}, "content": private[text]} for text in longest_first(private)
    ]
    written["decoder"]["decoders"] += [
        {"type": "Replace", "pattern": {"String": character}, "content": text} for text, character in private.items()
    ]


def _with_entries(tokenizer: PreTrainedTokenizerFast, written: dict, names: list[str]) -> PreTrainedTokenizerFast:
    """A copy that reads as is written, with further entries in its vocabulary."""
    first = len(tokenizer)
    written["model"]["vocab"] |= {name: first + index for index, name in enumerate(names)}
    changed, other = Tokenizer.from_str(json.dumps(written)), copy.deepcopy(tokenizer)
    for part in ("model", "normalizer", "pre_tokenizer", "decoder"):
        if getattr(changed, part) is not None:
            setattr(other.backend_tokenizer, part, getattr(changed, part))
    return other


def longest_first(texts: Iterable[str]) -> list[str]:
    """Each text once, so that what is tried first is never the beginning of another."""
    return sorted(set(texts), key=lambda text: (-len(text), text))
