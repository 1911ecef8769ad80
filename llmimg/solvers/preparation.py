"""From a configuration and its images to token ids: the encoder, the cached ids, the prompt and the layout."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerFast

from llmimg.configuration import Configuration
from llmimg.data import Data, Decoding
from llmimg.data.broken import broken_notes
from llmimg.data.rng import sampled
from llmimg.data.rows import Rows
from llmimg.errors import UserError
from llmimg.models.looks import Looks, grid_positions, looks_of
from llmimg.readouts.base import READOUTS
from llmimg.solvers.scripts import image_is_inside
from llmimg.tasks.base import Task
from llmimg.textify import Grammar, Textifier
from llmimg.tokens.cache import prepare
from llmimg.tokens.encoder import Encoder, write_all
from llmimg.tokens.layout import Layout
from llmimg.tokens.learned import learned_textifier, learned_tokenizer, run_decoding, run_state
from llmimg.tokens.lookup import token_boxes
from llmimg.tokens.plain_text import able_to_read
from llmimg.tokens.sample import RowText
from llmimg.tokens.store import ImageIds
from llmimg.tokens.vocabulary import Vocabulary, load_tokenizer, make_vocabulary, with_answers

_SAMPLE = 16  # training images on which looked-up tokens and their boxes are held against each other once more


def make_encoder(settings: Configuration, data: Data, task: Task, notes: list[str]) -> Encoder:
    """The one encoder of a run: what is to be learned is learned from training images, and its look-up held against the
    tokenizer on some of them. What a reader must know is added to `notes`."""
    decoding = run_decoding(settings.model.location[0], data.decoding, notes)
    textifier = make_textifier(settings, data, decoding)
    tokenizer = _tokenizer(settings, textifier, data, decoding)
    vocabulary = make_vocabulary(settings.vocabulary_name, textifier, tokenizer)
    prompted = {name: READOUTS[each.readout_name].prompted for name, each in settings.parts.items()}
    for name, each in settings.parts.items():
        vocabulary = with_answers(vocabulary, textifier, written_pieces(each, task.asked[name]))
    if any(prompted[name] and image_is_inside(each) for name, each in task.asked.items()):
        vocabulary = vocabulary.inside_a_text(textifier)
    pieces = write_all(textifier, _some_images(settings, data, decoding))
    texts, held = settings.plain_text, (settings.data.val_fraction, settings.data.test_fraction)
    vocabulary = able_to_read(texts, vocabulary.checked(textifier, pieces), settings.vocabulary.open_size, *held)
    said = [
        text
        for name, each in task.asked.items()
        if READOUTS[settings.parts[name].readout_name].reads_words
        for text in open_texts(each, data.of(name), decoding)
    ]
    if vocabulary.of_pieces and said:
        vocabulary = vocabulary.with_open(said, settings.vocabulary.open_size)
    encoder = Encoder(decoding, textifier, vocabulary)
    notes.append(encoder.vocabulary.note)
    notes.extend(_other_tokens(settings, encoder))
    return encoder


def written_pieces(settings: Configuration, task: Task) -> Grammar | None:
    """The grammar of what a task writes in pieces of its own, if it does."""
    return task.own_grammar if READOUTS[settings.readout_name].prompted else None


def open_texts(task: Task, data: Data, decoding: Decoding) -> list[str]:
    """What is open text in the prompts and answers of training rows: their own words."""
    if not task.own_words and not task.open:
        return []
    rows = Rows(data.train, task.columns_of(data.train.column_names), decoding).all_seen(np.arange(len(data.train)))
    return [
        part
        for row in rows
        for each in task.variants(row)
        for part in (*task.prompt(each, None), *(task.answer(each, None) if task.open else ()))
        if isinstance(part, RowText)
    ]


def make_textifier(settings: Configuration, data: Data, decoding: Decoding) -> Textifier:
    """The textifier with what it learns from training images. A model that comes from a run brings what its textifier
    learned: words go on to mean what they meant."""
    textifier = settings.textifier
    known = run_state(settings.model.location[0], textifier, reuse=settings.vocabulary_name == "reuse")
    return known or learned_textifier(textifier, data.train, decoding, **settings.cache_options)


def _tokenizer(
    settings: Configuration, textifier: Textifier, data: Data, decoding: Decoding
) -> PreTrainedTokenizerFast | None:
    if settings.vocabulary_name == "own":
        return None
    if settings.vocabulary_name == "learn":
        return learned_tokenizer(settings.vocabulary, textifier, data.train, decoding, **settings.cache_options)
    if settings.vocabulary.path:
        return load_tokenizer(settings.vocabulary.path)
    path, gguf_file = settings.model.location
    if path:
        return load_tokenizer(path, gguf_file, settings.model.revision)
    return load_tokenizer(settings.model.tokenizer or "")


def _other_tokens(settings: Configuration, encoder: Encoder) -> list[str]:
    """That a pretrained model is given the ids of another tokenizer than its own, where it is."""
    path, gguf_file = settings.model.location
    if not settings.vocabulary.path or path is None or settings.vocabulary_name not in ("reuse", "extend"):
        return []
    whose = f"The tokenizer of '{settings.vocabulary.path}' (vocabulary.path)"
    try:
        own = load_tokenizer(path, gguf_file, settings.model.revision).get_vocab()
    except UserError:
        return [f"{whose} is held against nothing: '{path}' has none of its own."]
    given = encoder.vocabulary.tokenizer.get_vocab()
    others = sum(given.get(token) != look for token, look in own.items())
    if not others:
        return []
    return [f"{whose} is not the model's own: {others:,} of its {len(own):,} tokens have other ids there."]


def prepare_split(settings: Configuration, data: Data, split: str, encoder: Encoder, notes: list[str]) -> ImageIds:
    ids = prepare(
        getattr(data, split),
        encoder,
        split,
        num_proc=settings.tokens.num_proc,
        **settings.cache_options,
    )
    notes.extend(broken_notes(ids.problems, split))
    return ids


def _some_images(settings: Configuration, data: Data, decoding: Decoding) -> list[np.ndarray]:
    rows = sampled(np.arange(len(data.train)), _SAMPLE, settings.data.split_seed)
    return [image for image in decoding(data.train[rows]["image"])[0] if image is not None]


def common_boxes(
    settings: Configuration, data: Data, needed: bool, encoder: Encoder, lengths: np.ndarray
) -> np.ndarray | None:
    """The boxes of an image's tokens, int32 `[T, 4]`; None where nothing needs them.

    Args:
        lengths: of all texts, in tokens.

    Raises:
        UserError: where something does, and they are not the same in all images.
    """
    if not needed:
        return None
    boxes = _boxes_in_all(settings, data, encoder, lengths)
    if boxes is None:
        raise UserError(
            "task.mask=block hides rectangles of the image, and this textifier's tokens stand elsewhere in each image: "
            "take task.mask=span, or a textifier of a grid and images of one size (data.size)."
        )
    return boxes


def _boxes_in_all(settings: Configuration, data: Data, encoder: Encoder, lengths: np.ndarray) -> np.ndarray | None:
    """The boxes of an image's tokens, int32 `[T, 4]`; None where they are not the same in all of some training images,
    or texts differ in length."""
    boxes = []
    for image in _some_images(settings, data, encoder.decoding):
        pieces = encoder.textifier.write(image[None])
        of_pieces = encoder.textifier.boxes(pieces, image[None])
        boxes.append(token_boxes(encoder.vocabulary.lookup.spans(pieces), of_pieces))
    same = bool(boxes) and all(np.array_equal(each, boxes[0]) for each in boxes) and len(np.unique(lengths)) == 1
    return boxes[0] if same else None


def make_looks(
    settings: Configuration,
    data: Data,
    encoder: Encoder,
    written: Sequence[tuple[Task, Vocabulary]],
    layout: Layout,
    lengths: np.ndarray,
    first: int | None,
) -> Looks | None:
    """What tokens look like and where they stand, where that is where the model begins (`model.embeddings`).

    Args:
        written: tasks, and the vocabulary of the answers of each.
        lengths: of all texts, in tokens.
        first: how many tokens stand in front of an image; None where that differs.

    Raises:
        UserError: where the textifier's pieces look like nothing, or none is a token of its own.
    """
    if settings.model.embeddings == "random":
        return None
    vocabulary, appearance = encoder.vocabulary, encoder.textifier.appearance()
    if appearance is None:
        raise UserError(
            f"model.embeddings=appearance needs pieces that look like something, and those of textify="
            f"{settings.textify['name']} do not: set model.embeddings=random."
        )
    tokens = [looks_of(vocabulary.lookup, appearance)]
    if not len(tokens[0][0]):
        raise UserError(
            "model.embeddings=appearance needs pieces that are one token each, and the tokenizer splits them all: take "
            "vocabulary=own, or model.embeddings=random."
        )
    for task, each in written:
        if each.answers is not None and (of_answers := task.appearance()) is not None:
            tokens.append(looks_of(each.answers, of_answers))
    boxes = _boxes_in_all(settings, data, encoder, lengths)
    if boxes is None or first is None or layout.permute == "each":
        return Looks(tokens)
    boxes = boxes[layout.order(np.zeros(len(boxes)))][: layout.room]
    return Looks(tokens, grid_positions(boxes), first)
