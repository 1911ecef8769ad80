"""Made-up pictures of coloured shapes or digits; nothing is downloaded.

Besides the canonical `image`, `label` and `id`, a row has

- objects: of each thing in reading order `bbox` ([x, y, width, height] in pixels, around what is seen), `category`, and
  `color` and `size` where there are several;
- mask: PNG of one channel, 0 where the ground is seen, else 1 + the class;
- caption;
- foils, foil_kinds: captions that are like the scene's and not right, with one thing changed each, and what that is
  (`llmimg.data.scenes.foils`); not of training scenes, as nothing learns from them;
- questions: one of every type that is asked and that the scene admits, with its answer;
- question, answer, question_type: one of these; null where there is none.

The label is the class of the topmost thing (the leftmost of several), and that of an empty scene is −1. Rows depend on
`data.scenes`, `data.split_seed` and their number alone.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmimg.data import rng
from llmimg.data.annotations.classes import Classes
from llmimg.data.columns import Source, assembled, fingerprint
from llmimg.data.png import png_files
from llmimg.data.scenes import make
from llmimg.data.scenes.make import Scenes, make_scenes, scene_words

if TYPE_CHECKING:
    from datasets import Dataset, Features

    from llmimg.data.scenes.words import Thing, Words
    from llmimg.data.settings import DataSettings

READS = frozenset({"fresh", "scenes"})
_BATCH = 1000  # scenes that are made at a time
_LIBRARIES = ("numpy", "opencv-python-headless", "scikit-learn")


def load(settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None) -> Source:
    """The splits "train", "validation" and "test", made up on the spot; fingerprints are of the settings and the code
    that decide them."""
    words = scene_words(settings.scenes)
    classes = {"objects": _classes(words.names), "mask": _classes(("ground", *words.names))}
    return Source({split: _split(settings, split, words, notes) for split in make.SPLITS}, classes)


def _classes(names: Sequence[str]) -> Classes:
    return Classes(tuple(names), tuple(range(len(names))))


def fresh(settings: "DataSettings", ids: Sequence[str], epoch: int) -> dict[str, list[Any]]:
    """The columns of training rows as they are in an epoch; in the first, 0, as they were loaded."""
    numbers = np.array([int(each) for each in ids], np.int64)
    scenes = make_scenes(settings.scenes, "train", settings.split_seed, numbers, epoch)
    return _columns(scenes, numbers, scene_words(settings.scenes))


def _split(settings: "DataSettings", split: str, words: "Words", notes: list[str]) -> "Dataset":
    import pyarrow as pa

    features = _features(words, split)
    batches = [
        pa.RecordBatch.from_pydict(_columns(scenes, numbers, words), features.arrow_schema)
        for numbers, scenes in _batches(settings, split)
    ]
    table = pa.Table.from_batches(batches, features.arrow_schema)
    missing = table["question"].null_count
    if missing:
        notes.append(f"{missing:,} of {len(table):,} {split} scenes admit none of the data.scenes.questions.")
    return assembled(table, features, _fingerprint(settings, split))


def _batches(settings: "DataSettings", split: str) -> Iterator[tuple[np.ndarray, Scenes]]:
    count = getattr(settings.scenes, split)
    for start in range(0, count, _BATCH):
        numbers = np.arange(start, min(start + _BATCH, count))
        yield numbers, make_scenes(settings.scenes, split, settings.split_seed, numbers)


def _fingerprint(settings: "DataSettings", split: str) -> str:
    # How many scenes another split has does not matter to this one.
    given = {name: value for name, value in asdict(settings.scenes).items() if name not in make.SPLITS}
    given |= {"split": split, "rows": getattr(settings.scenes, split), "seed": settings.split_seed}
    code = [Path(__file__), Path(rng.__file__), *sorted(Path(make.__file__).parent.glob("*.py"))]
    versions = (f"{name} {version(name)}" for name in _LIBRARIES)
    return fingerprint(repr(sorted(given.items())), *versions, *(file.read_bytes() for file in code))


def _features(words: "Words", split: str) -> "Features":
    from datasets import ClassLabel, Features, Image, List, Value

    objects = {"bbox": List(List(Value("float32"), length=4))}
    for name, known in _named(words).items():
        objects[name] = List(ClassLabel(names=list(known)))
    text = Value("string")
    return Features(
        {
            "image": Image(decode=False),
            "label": ClassLabel(names=list(words.names)),
            "id": text,
            "objects": objects,
            "mask": Image(decode=False),
            "caption": text,
            **({} if split == "train" else dict.fromkeys(("foils", "foil_kinds"), List(text))),
            "question": text,
            "answer": text,
            "question_type": text,
            "questions": List({"type": text, "question": text, "answer": text}),
        }
    )


def _named(words: "Words") -> dict[str, tuple[str, ...]]:
    """What else is known of a thing than its box, and the names of its values."""
    return {
        name: known
        for name, known in (("category", words.names), ("color", words.colors), ("size", words.sizes))
        if known
    }


def _columns(scenes: Scenes, numbers: np.ndarray, words: "Words") -> dict[str, list[Any]]:
    keys = ("type", "question", "answer")
    questions = [[dict(zip(keys, each, strict=True)) for each in row] for row in scenes.questions]
    own = [
        row[index] if index >= 0 else dict.fromkeys(keys) for row, index in zip(questions, scenes.chosen, strict=True)
    ]
    return {
        "image": [{"bytes": data, "path": None} for data in png_files(scenes.images)],
        "label": [row[0].category if row else -1 for row in scenes.things],
        "id": [str(number) for number in numbers],
        "objects": [_objects(row, words) for row in scenes.things],
        "mask": [{"bytes": data, "path": None} for data in png_files(scenes.masks)],
        "caption": scenes.captions,
        **_foils(scenes),
        "question": [each["question"] for each in own],
        "answer": [each["answer"] for each in own],
        "question_type": [each["type"] for each in own],
        "questions": questions,
    }


def _foils(scenes: Scenes) -> dict[str, list[list[str]]]:
    if not scenes.foils:
        return {}
    kinds, texts = ([[each[part] for each in row] for row in scenes.foils] for part in (0, 1))
    return {"foils": texts, "foil_kinds": kinds}


def _objects(things: list["Thing"], words: "Words") -> dict[str, list[Any]]:
    named = {name: [getattr(thing, name) for thing in things] for name in _named(words)}
    return {"bbox": [thing.box for thing in things], **named}
