"""What a model said that is asked over the network, kept on disk."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llmimg.errors import UserError

_TABLE = "whole_answers"  # the first format's, `answers`, did not tell why a model stopped: those are asked again


@dataclass(frozen=True)
class Answer:
    """What the endpoint said.

    Attributes:
        text: what it wrote; with `echo`, behind the prompt.
        tokens: (text, log-probability) of each token, where it gives them; the first one has no probability.
        read, written: how many tokens it says it read and wrote; None where it does not say.
        finish: why it stopped (`finish_reason`): `stop`, `length`, `content_filter`, …; None where it does not say.
        model: the name of the model that it says answered.
        thought: whether it told its thinking apart from the answer.
    """

    text: str
    tokens: tuple[tuple[str, float | None], ...] = ()
    read: int | None = None
    written: int | None = None
    finish: str | None = None
    model: str | None = None
    thought: bool = False


class Answers:
    """Answers by their request's hash, in `answers.sqlite` of a folder; used in one thread."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> "Answers":
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(self._folder / "answers.sqlite", timeout=60, isolation_level=None)
            self._run(f"CREATE TABLE IF NOT EXISTS {_TABLE} (key TEXT PRIMARY KEY, answer TEXT, checksum TEXT)")
        except (OSError, sqlite3.Error) as error:
            raise self._cannot(error) from error
        return self

    def __exit__(self, *exception: Any) -> None:
        self._rows.close()

    def get(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The answers that are there and whole: one whose bytes have changed is asked again.

        Raises:
            UserError: a file that is no database any more.
        """
        found = {}
        for key in dict.fromkeys(keys):
            row = self._run(f"SELECT answer, checksum FROM {_TABLE} WHERE key = ?", key).fetchone()
            if row and row[1] == _checksum(key, row[0]):
                fields: dict[str, Any] = json.loads(row[0])
                fields["tokens"] = tuple(map(tuple, fields["tokens"]))
                found[key] = Answer(**fields)
        return found

    def put(self, key: str, answer: Answer) -> Answer:
        text = json.dumps(asdict(answer))
        self._run(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?)", key, text, _checksum(key, text))
        return answer

    def _run(self, statement: str, *values: str) -> sqlite3.Cursor:
        try:
            return self._rows.execute(statement, values)
        except sqlite3.Error as error:
            raise self._cannot(error) from error

    def _cannot(self, error: Exception) -> UserError:
        return UserError(
            f"Answers cannot be kept in {self._folder} ({error}): remove answers.sqlite there if it is broken, or set "
            "tokens.cache_dir to a folder that can be written."
        )


def _checksum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key} {text}".encode(errors="replace")).hexdigest()
