"""The plain way, as a first article on the idea prints it: a Python loop an image, then the Hugging Face tokenizer.

Our own words for that recipe, kept plain on purpose; `llmimg.textify` writes the same text.
"""

import numpy as np
from transformers import PreTrainedTokenizerFast


def region_color_text(image: np.ndarray, grid: int = 4) -> str:
    """uint8 `[H, W, 3]`, sides multiples of `grid` → `region_color_R_G_B …`, mean colours truncated."""
    height, width = image.shape[0] // grid, image.shape[1] // grid
    words = []
    for row in range(grid):
        for column in range(grid):
            block = image[row * height : (row + 1) * height, column * width : (column + 1) * width]
            red, green, blue = block.mean(axis=(0, 1))
            words.append(f"region_color_{int(red)}_{int(green)}_{int(blue)}")
    return " ".join(words)


def gray_text(image: np.ndarray) -> str:
    """uint8 `[H, W, 3]` → each pixel's brightness (ITU-R BT.601 in integers), in raster order."""
    words = []
    for row in image.tolist():
        for red, green, blue in row:
            words.append(str((77 * red + 150 * green + 29 * blue + 128) // 256))
    return " ".join(words)


def rgb_text(image: np.ndarray) -> str:
    """uint8 `[H, W, 3]` → red, green and blue of each pixel, in raster order."""
    words = []
    for row in image.tolist():
        for pixel in row:
            for value in pixel:
                words.append(str(value))
    return " ".join(words)


TEXTS = {"region_color": region_color_text, "gray": gray_text, "rgb": rgb_text}


def token_ids(images: np.ndarray, name: str, tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """uint8 `[N, H, W, 3]` → the token ids of each image's text, uncut.

    The tokenizer is called once for the whole list, which is quicker than once an image.
    """
    texts = [TEXTS[name](image) for image in images]
    return tokenizer(texts, add_special_tokens=False)["input_ids"]
