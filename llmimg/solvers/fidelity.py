"""How much of the images a model can know from their text: the image that the text gives back, beside the image."""

from collections.abc import Iterator, Mapping, Sequence

import datasets
import numpy as np
from scipy.special import gammaln

from llmimg.data import Data, Decoding
from llmimg.data.rng import sampled
from llmimg.metrics.image import psnr_db, residual_bits, ssim
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout
from llmimg.training.examples import Examples

SAMPLE = 500  # images that fidelity is measured on
_BATCH = 1000


def fidelity(images: Sequence[np.ndarray], given_back: Sequence[np.ndarray]) -> dict[str, float]:
    """Likeness of images and what their text gives back, uint8 `[H, W, C]` each, and how many there were: by the names
    of metrics.json."""
    similarity = ssim(images, given_back)
    found = {"data/psnr_db": psnr_db(images, given_back), "data/fidelity_images": len(images)}
    return found if similarity is None else {**found, "data/ssim": similarity}


def notes_of_size(decoding: Decoding) -> list[str]:
    """What a reader of `fidelity` must know where images were brought to a size before they were written."""
    if not decoding.size:
        return []
    height, width = decoding.size
    return [f"What the text holds is measured against images of {height} × {width} pixels (data.size)."]


def fidelity_metrics(
    encoder: Encoder,
    data: Data,
    texts: Mapping[str, Examples],
    layout: Layout,
    seed: int,
    bits_per_image: float | None,
    notes: list[str],
) -> dict[str, float]:
    """How much of the test images their text holds, as far as the model reads it, where it gives images back.

    Args:
        layout: cuts texts, and may lose their order.
        seed: of the sample of images that it is measured on.
        bits_per_image: what a model finds the text's information to be, over all test images. Bits a dimension follow
            from it: of the text, and of what is lost with it.
        notes: what a reader must know is added.
    """
    rows = {split: sampled(texts[split].numbers, SAMPLE, seed) for split in ("train", "test")}
    images = _decoded(encoder, data.test, rows["test"])
    back = encoder.reconstructions(images, layout.room)
    if back is None:
        if bits_per_image is not None:
            notes.append("Bits a dimension cannot be said: the text gives no image back, and what it loses is unknown.")
        return {}
    notes.extend(notes_of_size(encoder.decoding))
    if (texts["test"].ids.lengths[rows["test"]] > layout.room).any():
        notes.append(
            "Texts are truncated (tokens.overflow=truncate): what was not read counts as lost, black in the image."
        )
    # Of a text in an order of its own for each image no image can be made: that order must be said besides.
    scattered = layout.permute == "each"
    if scattered:
        notes.append("The text's order is lost (tokens.permute=each): it gives no image back.")
    found = {} if scattered else fidelity(images, back)
    if bits_per_image is None:
        return found
    known = _decoded(encoder, data.train, rows["train"])
    given = encoder.reconstructions(known, layout.room)
    lost = residual_bits(list(map(_errors, known, given or [])), list(map(_errors, images, back)))
    if scattered:
        lost += float(np.mean([order_bits(texts["test"].ids[row][: layout.room]) for row in rows["test"]]))
    lost /= float(np.mean([image.size for image in images]))
    sizes = [image.size for part in _batches(texts["test"].numbers) for image in _decoded(encoder, data.test, part)]
    return {
        **found,
        "test/bits_per_dim": bits_per_image / float(np.mean(sizes)) + lost,
        "data/lost_bits_per_dim": lost,
    }


def order_bits(tokens: np.ndarray) -> float:
    """Bits that name one of all the different orders of some tokens `[L]`."""
    counts = np.unique(tokens, return_counts=True)[1]
    return float((gammaln(len(tokens) + 1) - gammaln(counts + 1).sum()) / np.log(2))


def _decoded(encoder: Encoder, split: datasets.Dataset, rows: np.ndarray) -> list[np.ndarray]:
    return encoder.decoding.whole(split[rows]["image"])


def _batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))


def _errors(image: np.ndarray, given_back: np.ndarray) -> np.ndarray:
    """Of each value of the image, int16 `[H, W, C]`; of a gray one from the mean of the colours that come back."""
    if image.shape[2] < given_back.shape[2]:
        given_back = np.rint(given_back.mean(axis=2, keepdims=True))
    return (image.astype(np.int16) - given_back).astype(np.int16)
