"""What `data.scenes` can say."""

from dataclasses import dataclass

from llmimg.errors import UserError
from llmimg.nearest import choose

KINDS = ("shapes", "digits")
QUESTIONS = ("count", "count_of", "exists", "extreme", "relation", "size", "color", "shape")
_OF_SHAPES = ("color", "shape")  # digits have no colour to ask for
SIZES = {"shapes": (7, 10, 13), "digits": (8, 12, 16)}
_SIZE_WORDS = {1: (), 2: ("small", "large"), 3: ("small", "medium", "large")}
_SMALLEST = {"shapes": 5, "digits": 8}  # pixels: what can still be told apart


@dataclass(frozen=True)
class SceneSettings:
    """Pictures to make up.

    Raises:
        UserError: a value that is out of its range, or that does not go with the others.
    """

    things: str = "shapes"  # of KINDS
    train: int = 10_000  # scenes of each split
    validation: int = 1_000
    test: int = 1_000
    canvas: tuple[int, int] | int = 32  # (height, width) in pixels; a single number becomes a square
    least: int = 1  # things in a scene
    most: int = 4
    sizes: tuple[int, ...] | None = None  # pixels a side, ascending, one to three; None: SIZES
    overlap: float = 0.0  # the share of a thing that others may hide; 0 keeps all boxes a pixel apart
    clutter: int = 0  # dim strokes behind the things, which are no objects
    noise: float = 6.0  # standard deviation of what is added to every sample, of 255
    questions: tuple[str, ...] | None = None  # of QUESTIONS; None: all that these things admit

    def __post_init__(self) -> None:
        choose(self.things, dict.fromkeys(KINDS), "data.scenes.things")
        if self.sizes is None:
            object.__setattr__(self, "sizes", SIZES[self.things])
        if isinstance(self.canvas, int):
            object.__setattr__(self, "canvas", (self.canvas, self.canvas))
        ranges = {
            **dict.fromkeys(("train", "validation", "test"), (1, 10**9)),
            "most": (1, 50),
            "least": (0, self.most),
            "overlap": (0, 0.9),
            "clutter": (0, 1000),
            "noise": (0, 128),
        }
        for name, (low, high) in ranges.items():
            _check(name, getattr(self, name), low, high)
        self._check_sizes()
        if self.questions is not None:
            self._check_questions()

    @property
    def size_words(self) -> tuple[str, ...]:
        """What the sizes are called; nothing where there is one size alone."""
        return _SIZE_WORDS[len(self.sizes)]

    @property
    def asked(self) -> tuple[str, ...]:
        """The types of question that are asked."""
        return self.questions or tuple(name for name in QUESTIONS if self._admits(name))

    def _admits(self, question: str) -> bool:
        return (self.things == "shapes" or question not in _OF_SHAPES) and (question != "size" or len(self.sizes) > 1)

    def _check_sizes(self) -> None:
        sizes = self.sizes
        if len(sizes) not in _SIZE_WORDS or list(sizes) != sorted(set(sizes)):
            raise UserError(f"data.scenes.sizes is {list(sizes)}: it takes one to three sizes in pixels, ascending.")
        for side in self.canvas:
            _check("canvas", side, sizes[-1], 1024, "as large as the largest of data.scenes.sizes")
        _check("sizes", sizes[0], _SMALLEST[self.things], 1024, f"to be told apart as {self.things}")

    def _check_questions(self) -> None:
        for name in self.questions:
            choose(name, dict.fromkeys(QUESTIONS), "data.scenes.questions")
            if not self._admits(name):
                why = "have one size" if name == "size" else "have no colour of their own"
                raise UserError(f"data.scenes.questions: '{name}' cannot be asked, as the {self.things} {why}.")
        if len(set(self.questions)) < max(1, len(self.questions)):
            raise UserError("data.scenes.questions must be one or more different types, or null for all.")


def _check(name: str, value: float, low: float, high: float, why: str = "") -> None:
    if not low <= value <= high:
        reason = f" ({why})" if why else ""
        raise UserError(f"data.scenes.{name} is {value:,}: it must lie between {low:,} and {high:,}{reason}.")
