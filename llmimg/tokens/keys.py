"""Keys of what is kept: everything that shapes it, its own code and the libraries it calls among it."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import datasets
import numpy as np

import llmimg
from llmimg.data import Decoding
from llmimg.textify import Textifier
from llmimg.tokens.encoder import Encoder

# Whatever the code below imports; None where one of OpenCV's packages is another of them.
LIBRARIES = (
    "datasets",
    "numpy",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
    "opencv-python",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pyarrow",
    "safetensors",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "transformers",
    "xxhash",
)
# Ids are made by this room, and by what it imports.
_ROOTS = ("llmimg.tokens",)
_IMPORT = re.compile(r"^\s*(?:from\s+(llmimg[\w.]*)\s+import\s+([^#\n(]+|\([^)]*\))|import\s+(llmimg[\w.]*))", re.M)


def cache_key(dataset: datasets.Dataset, encoder: Encoder, split: str) -> str:
    """Sixteen hexadecimal digits that stand for everything that shapes the ids of a split.

    That is: the rows (their fingerprint), the split, decoding and resizing, the textifier with its settings and what it
    learned, the look-up of its pieces (the table, or the tokenizer's contents; nothing of answers or prompts), the code
    that makes ids, and the versions of the libraries it calls.
    """
    return key_of(
        dataset,
        encoder.decoding,
        encoder.textifier,
        split=split,
        state=digests(encoder.textifier.state),
        tokens=encoder.vocabulary.lookup.fingerprint,
    )


def digests(state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What a textifier learned, in a few characters."""
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in state.items()}


def key_of(dataset: datasets.Dataset, decoding: Decoding, textifier: Textifier, **parts: Any) -> str:
    """The key of what is made of these rows by this textifier, and of whatever else shapes it."""
    return hashed(
        source=dataset._fingerprint,
        decoding=dataclasses.asdict(decoding),
        textifier=[type(textifier).__module__, textifier.settings()],
        **parts,
    )


def hashed(**parts: Any) -> str:
    """The key of what these parts, the code that makes ids and the libraries it calls shape."""
    whole = {"code": _code_fingerprint(), "versions": {name: _version(name) for name in LIBRARIES}, **parts}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@functools.cache
def _code_fingerprint() -> str:
    root, digest = Path(llmimg.__file__).parent.parent, hashlib.sha256()
    for file in code_files():
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def code_files() -> list[Path]:
    """The files of llmimg that can shape ids, sorted: those of the rooms that make them, and of all rooms and files
    that these import, in turn."""
    found: set[Path] = set()
    waiting = [file for name in _ROOTS for file in _belonging(name)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [other for name in _imported(file.read_text(encoding="utf-8")) for other in _belonging(name)]
    return sorted(found)


def _imported(code: str) -> set[str]:
    """The modules of llmimg that a file names in its imports."""
    names = set()
    for module, things, imported in _IMPORT.findall(code):
        names.add(module or imported)
        names |= {f"{module}.{thing.split()[0]}" for thing in things.strip("() \n").split(",") if thing.strip()}
    return names


def _belonging(name: str) -> list[Path]:
    """A file with that module's code; of a room, all its files, as some are found by their name alone."""
    path = Path(llmimg.__file__).parent.joinpath(*name.split(".")[1:])
    if path == Path(llmimg.__file__).parent:
        return []  # the package itself says its version and no more
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []
