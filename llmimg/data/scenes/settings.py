"""What `data.scenes` can say."""

import typing
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from llmimg.data.placement import square
from llmimg.errors import UserError
from llmimg.settings import settings_of

Question = Literal["count", "count_of", "exists", "extreme", "relation", "size", "color", "shape"]
QUESTIONS = typing.get_args(Question)
_OF_SHAPES = ("color", "shape")  # digits have no colour to ask for
SIZES = {"shapes": (7, 10, 13), "digits": (8, 12, 16)}
_SIZE_WORDS = {1: (), 2: ("small", "large"), 3: ("small", "medium", "large")}
_SMALLEST = {"shapes": 5, "digits": 8}  # pixels: what can still be told apart

Scenes = Annotated[int, Field(ge=1, le=10**9)]
Side = Annotated[int, Field(ge=1, le=1024)]
_SIDES = "one number, or (height, width), each 1 to 1024 pixels"


@settings_of("data.scenes")
class SceneSettings:
    """Pictures to make up.

    Raises:
        UserError: a value that is out of its range, or that does not go with the others.
    """

    things: Literal["shapes", "digits"] = "shapes"
    train: Scenes = 10_000  # scenes of each split
    validation: Scenes = 1_000
    test: Scenes = 1_000
    canvas: Annotated[tuple[Side, Side], Field(description=_SIDES), BeforeValidator(square)] = (32, 32)
    least: Annotated[int, Field(ge=0)] = 1  # things in a scene
    most: Annotated[int, Field(ge=1, le=50)] = 4
    sizes: tuple[Side, ...] | None = None  # pixels a side, ascending, one to three; None: SIZES
    # the share of a thing that others may hide; 0 keeps all boxes a pixel apart
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    clutter: Annotated[int, Field(ge=0, le=1000)] = 0  # dim strokes behind the things, which are no objects
    noise: Annotated[float, Field(ge=0, le=128)] = 6.0  # standard deviation of what is added to every sample, of 255
    questions: tuple[Question, ...] | None = None  # None: all that these things admit

    def __post_init__(self) -> None:
        if self.sizes is None:
            object.__setattr__(self, "sizes", self.sides)
        if self.least > self.most:
            raise UserError(
                f"data.scenes.least={self.least} is out of range: it takes 0 to {self.most} (data.scenes.most)."
            )
        self._check_sizes()
        if self.questions is not None:
            self._check_questions(self.questions)

    @property
    def sides(self) -> tuple[int, ...]:
        """`sizes`; where they are null, those that go with `things`."""
        return SIZES[self.things] if self.sizes is None else self.sizes

    @property
    def size_words(self) -> tuple[str, ...]:
        """What the sizes are called; nothing where there is one size alone."""
        return _SIZE_WORDS[len(self.sides)]

    @property
    def asked(self) -> tuple[str, ...]:
        """The types of question that are asked."""
        return self.questions or tuple(name for name in QUESTIONS if self._admits(name))

    def _admits(self, question: str) -> bool:
        return (self.things == "shapes" or question not in _OF_SHAPES) and (question != "size" or len(self.sides) > 1)

    def _check_sizes(self) -> None:
        sizes = self.sides
        if len(sizes) not in _SIZE_WORDS or list(sizes) != sorted(set(sizes)):
            raise UserError(f"data.scenes.sizes is {list(sizes)}: it takes one to three sizes in pixels, ascending.")
        for side in self.canvas:
            _check("canvas", side, sizes[-1], 1024, "as large as the largest of data.scenes.sizes")
        _check("sizes", sizes[0], _SMALLEST[self.things], 1024, f"to be told apart as {self.things}")

    def _check_questions(self, questions: tuple[Question, ...]) -> None:
        for name in questions:
            if not self._admits(name):
                why = "have one size" if name == "size" else "have no colour of their own"
                raise UserError(f"data.scenes.questions: '{name}' cannot be asked, as the {self.things} {why}.")
        if len(set(questions)) < max(1, len(questions)):
            raise UserError("data.scenes.questions must be one or more different types, or null for all.")


def _check(name: str, value: float, low: float, high: float, why: str) -> None:
    if not low <= value <= high:
        raise UserError(f"data.scenes.{name}={value} is out of range: it takes {low} to {high} ({why}).")
