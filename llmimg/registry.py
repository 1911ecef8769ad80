"""Names → what they stand for. A new entry is one new file in its room; nothing else has to know of it."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from llmimg.nearest import choose

Entry = TypeVar("Entry")


class Registry:
    """The named entries of one package (a room, as `llmimg.textify`), found by importing its modules on first use."""

    def __init__(self, what: str, package: str):
        self.what = what
        self.package = package
        self._entries: dict[str, Any] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """A decorator that enters a class or function under `name`; a name can be taken once."""

        def enter(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(f"The {self.what} '{name}' is registered twice.")
            self._entries[name] = entry
            return entry

        return enter

    def entries(self) -> dict[str, Any]:
        if not self._complete:
            for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            self._complete = True
        return self._entries

    def __getitem__(self, name: str | None) -> Any:
        """The entry of that name.

        Raises:
            UserError: where there is none; it says the nearest name.
        """
        return choose(name or "", self.entries(), self.what)

    def name_of(self, entry: object) -> str:
        """The name under which `entry` is registered."""
        return next(name for name, each in self.entries().items() if each is entry)
