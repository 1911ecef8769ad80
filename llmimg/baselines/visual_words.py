"""Visual words: SIFT, a codebook, histograms, a linear support vector machine."""

from collections.abc import Callable
from typing import Any

import numpy as np

from llmimg.baselines.base import BASELINES, Classifier
from llmimg.settings import Above0, Positive, settings_of
from llmimg.textify.codebook import fit_codes, nearest_codes
from llmimg.textify.pixel import brightness

_FIT_DESCRIPTORS = 50_000


@BASELINES.register("sift_bow")
@settings_of("model.options")
class SiftBow(Classifier):
    """SIFT (OpenCV) on a dense grid, each descriptor as the nearest of learned patterns; the histograms of the image
    and of its quarters (Lazebnik et al., CVPR 2006), square roots taken, to a linear support vector machine.

    Attributes:
        words: patterns in the codebook.
        side: the shorter side images are enlarged to, by a whole factor.
        step: pixels from one descriptor to the next, there.
        C: how much an error costs.
    """

    words: Positive = 256
    side: Positive = 64
    step: Positive = 8
    C: Above0 = 1.0

    def features_of(self, images: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        draw = np.random.default_rng(seed)
        some = self.descriptors(images[draw.permutation(len(images))[:1000]])
        some = some.reshape(-1, some.shape[-1])
        some = some[draw.permutation(len(some))[:_FIT_DESCRIPTORS]]
        codes = fit_codes(some, min(self.words, len(some)), seed)
        return lambda each: self.histograms(each, codes)

    def descriptors(self, images: np.ndarray) -> np.ndarray:
        """int16 `[N, cells, 128]`, row by row."""
        import cv2

        factor = max(1, -(-self.side // min(images.shape[1:3])))
        sift = cv2.SIFT.create()
        found = []
        for gray in brightness(images):
            large = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            rows, columns = (np.arange(self.step // 2, length, self.step) for length in large.shape)
            points = [cv2.KeyPoint(float(x), float(y), 2.0 * self.step) for y in rows for x in columns]
            found.append(np.rint(sift.compute(large, points)[1]).astype(np.int16))
        return np.stack(found)

    def histograms(self, images: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """float64 `[N, 5 · words]`: the image's, and its four quarters'."""
        looks = self.descriptors(images)
        count, cells, size = looks.shape
        word = nearest_codes(looks.reshape(-1, size), codes).reshape(count, cells)
        factor = max(1, -(-self.side // min(images.shape[1:3])))
        rows, columns = (len(np.arange(self.step // 2, side * factor, self.step)) for side in images.shape[1:3])
        row, column = np.divmod(np.arange(cells), columns)
        quarter = 1 + 2 * (row * 2 // rows) + column * 2 // columns
        histograms = np.zeros((count, 5, len(codes)))
        image = np.arange(count)[:, None]
        np.add.at(histograms[:, 0], (image, word), 1)
        np.add.at(histograms, (image, quarter[None], word), 1)
        return np.sqrt(histograms / cells).reshape(count, -1)

    def estimator(self, seed: int) -> Any:
        from sklearn.svm import LinearSVC

        return LinearSVC(C=self.C, random_state=seed)
