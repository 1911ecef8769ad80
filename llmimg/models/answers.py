"""What a model said that is asked over the network, kept on disk."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmimg.errors import UserError


@dataclass(frozen=True)
class Answer:
    """What the endpoint said.

    Attributes:
        text: what it wrote; with `echo`, behind the prompt.
        tokens: (text, log-probability) of each token, where it gives them; the first one has no probability.
        read, written: how many tokens the request counted.
    """

    text: str
    tokens: tuple[tuple[str, float | None], ...]
    read: int
    written: int


class Answers:
    """Answers by their request's hash, in `answers.sqlite` of a folder; used in one thread."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> "Answers":
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(self._folder / "answers.sqlite", timeout=60, isolation_level=None)
            self._rows.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT)")
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"Answers cannot be kept in {self._folder} ({error}): set tokens.cache_dir to a folder that can be "
                "written."
            ) from error
        return self

    def __exit__(self, *exception: Any) -> None:
        self._rows.close()

    def get(self, keys: Iterable[str]) -> dict[str, Answer]:
        found = {}
        for key in dict.fromkeys(keys):
            row = self._rows.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            if row:
                text, tokens, read, written = json.loads(row[0])
                found[key] = Answer(text, tuple(map(tuple, tokens)), read, written)
        return found

    def put(self, key: str, answer: Answer) -> Answer:
        plain = json.dumps([answer.text, answer.tokens, answer.read, answer.written])
        self._rows.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, plain))
        return answer
