"""Keypoints as text: where the strongest are, how large, how turned, and what they look like."""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import Positive, Seed, settings_of
from llmimg.textify.appearance import appearance_of, steps
from llmimg.textify.base import TEXTIFIERS, Textifier
from llmimg.textify.codebook import fit_codes, nearest_codes
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.pixel import brightness
from llmimg.textify.ragged import Ragged, ends_to_offsets

_SMALLEST = 1 / 64  # of the image's longer side: the sizes that the first and the last word for scale begin and end at
_FIT_DESCRIPTORS = 100_000


@settings_of("textify")
class Keypoints(Textifier):
    """The strongest keypoints of an image's brightness, the strongest first: `"x3 y12 size4 angle2 x1 y2 …"`.

    An image without any is written `"none"`. There is no reconstruction.

    Attributes:
        points: how many at most, 1 to 1000.
        cells: the image is cut into so many columns and rows to name positions, 2 to 256.
        scales: words for scale, 1 to 64: even steps of its logarithm, from 1/64 of the longer side to all of it.
        angles: words for orientation, even parts of the circle; 0 leaves it out.
        codes: patterns of a codebook learned on training images, one of which says what a keypoint looks like
            (`word17`), as in the visual words of Sivic and Zisserman (ICCV 2003); 0 leaves that out.
        min_side: images whose shorter side is shorter are enlarged first, by a whole factor; 16 to 1024.
        fit_images: training images that the codebook is learned on.
        fit_seed: of that draw, and of k-means.
    """

    points: Annotated[int, Field(ge=1, le=1000)] = 16
    cells: Annotated[int, Field(ge=2, le=256)] = 16
    scales: Annotated[int, Field(ge=1, le=64)] = 8
    angles: Annotated[int, Field(ge=0, le=360)] = 8
    codes: Literal[0] | Annotated[int, Field(ge=2, le=2**15)] = 0
    min_side: Annotated[int, Field(ge=16, le=1024)] = 128  # OpenCV's detectors fail on images a few pixels wide
    fit_images: Positive = 2000
    fit_seed: Seed = 0

    _turns_late: ClassVar[bool] = False  # KAZE finds orientations only with descriptors
    _margin: ClassVar[int] = 0  # pixels by which an image is mirrored outwards, for detectors that leave its edge out

    def _make_detector(self) -> Any:
        """The OpenCV Feature2D."""
        raise NotImplementedError

    @functools.cached_property
    def _detector(self) -> Any:
        return self._make_detector()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_detector"}  # OpenCV's do not pickle

    @property
    def is_learned(self) -> bool:
        return self.codes > 0

    def learn(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The codebook, int16 `[codes, D]`.

        Raises:
            UserError: where the images have fewer different keypoints than there are to be codes.
        """
        if not self.is_learned:
            return {}
        draw = np.random.default_rng(self.fit_seed)
        chosen = draw.permutation(len(images))[: self.fit_images]
        each = [self._keypoints(brightness(images[index][None])[0])[1] for index in chosen]
        found = np.concatenate([looks for looks in each if len(looks)] or each)
        found = found[draw.permutation(len(found))[:_FIT_DESCRIPTORS]]
        if (different := len(np.unique(found, axis=0))) < self.codes:
            raise UserError(
                f"The training images have {different:,} different keypoints, and textify.codes={self.codes} asks for "
                "more patterns: lower textify.codes, or raise textify.fit_images or textify.points."
            )
        return {"codes": fit_codes(found, self.codes, self.fit_seed)}

    @functools.cached_property
    def _fields(self) -> dict[str, int]:
        """What is said of a keypoint, and in how many words."""
        sizes = {"x": self.cells, "y": self.cells, "size": self.scales, "angle": self.angles, "word": self.codes}
        return {name: size for name, size in sizes.items() if size}

    @functools.cached_property
    def grammar(self) -> Grammar:
        kinds = {name: [f" {name}{value}" for value in range(size)] for name, size in self._fields.items()}
        lexicon = Lexicon.of(none=["none"], first=[text[1:] for text in kinds["x"]], **kinds)
        names = list(self._fields)
        moves = {name: {after: after} for name, after in zip(names, [*names[1:], names[0]], strict=True)}
        return Grammar(lexicon, {START: {"none": "end", "first": "x"}, **moves}, frozenset({"end", names[-1]}))

    def write(self, images: np.ndarray) -> Ragged:
        height, width = images.shape[1:3]
        found = [self._keypoints(image) for image in brightness(images)]
        counts = np.array([len(points) for points, _ in found])
        points = np.concatenate([points for points, _ in found])
        values = {
            "x": points[:, 0] / width * self.cells,
            "y": points[:, 1] / height * self.cells,
            "size": (1 - np.log(np.maximum(points[:, 2] / max(height, width), _SMALLEST)) / np.log(_SMALLEST))
            * self.scales,
            "angle": points[:, 3] % 360 / 360 * self.angles,
        }
        words = {
            name: np.clip(value.astype(np.int64), 0, self._fields.get(name, 1) - 1) for name, value in values.items()
        }
        if self.codes:
            looks = [look for _, look in found if len(look)]
            words["word"] = (
                nearest_codes(np.concatenate(looks), self.state["codes"]) if looks else np.empty(0, np.int64)
            )
        kinds = self.lexicon.kinds
        ids = np.stack([words[name] + kinds[name].start for name in self._fields], axis=1)
        ids[ends_to_offsets(counts)[:-1][counts > 0], 0] += kinds["first"].start - kinds["x"].start
        offsets = ends_to_offsets(np.maximum(counts * len(self._fields), 1))
        pieces = np.full(offsets[-1], kinds["none"].start, self.lexicon.dtype)
        pieces[np.repeat(counts > 0, np.diff(offsets))] = ids.reshape(-1)
        return Ragged(pieces, offsets)

    def _keypoints(self, gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The strongest keypoints of a gray image uint8 `[H, W]`: float64 `[n, 4]` of x, y, diameter (pixels) and angle
        (degrees); and, where they are wanted, their descriptors as whole numbers, int16 `[n, D]`."""
        import cv2

        factor = -(-self.min_side // min(gray.shape))
        if factor > 1:
            gray = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        height, width = gray.shape
        if margin := self._margin:
            gray = cv2.copyMakeBorder(gray, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
        if self.codes or self._turns_late:
            points, looks = self._detector.detectAndCompute(gray, None)
        else:
            points, looks = self._detector.detect(gray, None), None
        strength = np.array([point.response for point in points])
        geometry = np.array([(*point.pt, point.size, point.angle) for point in points]).reshape(-1, 4)
        geometry[:, :2] -= self._margin
        inside = np.flatnonzero(((geometry[:, :2] >= 0) & (geometry[:, :2] < (width, height))).all(axis=1))
        if not len(inside):
            return np.empty((0, 4)), np.empty((0, 1), np.int16)
        strongest = inside[np.lexsort((*geometry[inside].T, -strength[inside]))][: self.points]
        geometry[:, :3] /= factor
        looks = np.empty((len(points), 1), np.int16) if looks is None else _whole_numbers(looks)
        return geometry[strongest], looks[strongest]

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        """The square of the keypoint's size around its position, as the words tell them; `none` speaks of all."""
        height, width = images.shape[1:3]
        boxes = np.tile(np.array([0, 0, width, height], np.int32), (len(pieces.values), 1))
        kinds, fields = self.lexicon.kinds, len(self._fields)
        says = pieces.values != kinds["none"].start
        rows = pieces.values[says].astype(np.int64).reshape(-1, fields)
        column = np.where(
            rows[:, 0] < kinds["x"].start, rows[:, 0] - kinds["first"].start, rows[:, 0] - kinds["x"].start
        )
        across, down = ((each + 0.5) / self.cells for each in (column, rows[:, 1] - kinds["y"].start))
        scale = (rows[:, 2] - kinds["size"].start + 0.5) / self.scales
        radius = _SMALLEST ** (1 - scale) * max(height, width) / 2
        low = np.floor(np.stack([across * width - radius, down * height - radius], axis=1))
        high = np.ceil(np.stack([across * width + radius, down * height + radius], axis=1))
        size = np.array([width, height])
        low, high = np.clip(low, 0, size - 1), np.clip(high, 1, size)
        boxes[says] = np.repeat(np.concatenate([low, high], axis=1), fields, axis=0)
        return boxes

    def appearance(self) -> np.ndarray:
        """Places and sizes are their numbers, angles their directions, words their patterns; `none` is nothing."""
        turns = 2 * np.pi * (np.arange(self.angles) + 0.5) / max(self.angles, 1)
        looks = [
            (("first", "x"), steps(self.cells)),
            (("y",), steps(self.cells)),
            (("size",), steps(self.scales)),
        ]
        if self.angles:
            looks.append((("angle",), np.stack([np.cos(turns), np.sin(turns)], axis=1)))
        if self.codes:
            looks.append((("word",), self.state["codes"] / 255))
        return appearance_of(self.lexicon, *looks)


def _whole_numbers(descriptors: np.ndarray) -> np.ndarray:
    """int16 `[n, D]`: bits (uint8) as 0 and 255, SIFT's floats (0 to 255) as they are, others' (−1 to 1) times 255."""
    if descriptors.dtype == np.uint8:
        return np.unpackbits(descriptors, axis=1).astype(np.int16) * 255
    return np.rint(descriptors * (1 if descriptors.max() > 2 else 255)).astype(np.int16)


def _register(name: str, source: str, make_detector: Callable[[Any], Any], **attributes: Any) -> type[Keypoints]:
    """A textifier of one of OpenCV's detectors; they differ in nothing else."""

    def _make_detector(self: Keypoints) -> Any:
        import cv2

        return make_detector(cv2)

    made = type(
        name.capitalize(),
        (Keypoints,),
        {"_make_detector": _make_detector, "__doc__": source, "__module__": __name__, **attributes},
    )
    return TEXTIFIERS.register(name)(settings_of("textify")(made))


def _surf(cv2: Any) -> Any:
    try:
        return cv2.xfeatures2d.SURF_create(hessianThreshold=100)
    except (AttributeError, cv2.error) as error:
        raise UserError(
            "textify=surf needs an OpenCV built with its contrib modules and OPENCV_ENABLE_NONFREE=ON, as SURF is "
            "patented; this one lacks it. Install such a build, or take textify=sift."
        ) from error


# Thresholds below OpenCV's defaults, as a small picture has few keypoints, and only the strongest are written.
Sift = _register("sift", "Lowe, IJCV 2004.", lambda cv2: cv2.SIFT_create(contrastThreshold=0.02))
# ORB leaves 31 pixels along every edge out, BRISK and AKAZE as much as their patterns reach: of a small picture, half.
Orb = _register(
    "orb",
    "Rublee et al., ICCV 2011.",
    lambda cv2: cv2.ORB_create(nfeatures=1000, fastThreshold=5),
    _margin=32,
)
Akaze = _register("akaze", "Alcantarilla et al., BMVC 2013.", lambda cv2: cv2.AKAZE_create(threshold=2e-4), _margin=32)
Kaze = _register(
    "kaze", "Alcantarilla et al., ECCV 2012.", lambda cv2: cv2.KAZE_create(threshold=2e-4), _turns_late=True
)
Brisk = _register("brisk", "Leutenegger et al., ICCV 2011.", lambda cv2: cv2.BRISK_create(thresh=15), _margin=32)
Surf = _register("surf", "Bay et al., CVIU 2008.", _surf)
