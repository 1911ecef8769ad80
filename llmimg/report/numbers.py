"""How each number of a run is named, written and explained; the page and the terminal's table share it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from llmimg.tasks.measure import LOSS, Measure


def percent(share: float) -> str:
    """0.947 → `94.7 %`."""
    return f"{100 * share:.1f} %"


def count(value: float) -> str:
    """105472 → `105 k`; below ten thousand every digit is kept: `1,437`."""
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    rounded = float(f"{value:.3g}")
    power = min(math.floor(math.log10(abs(rounded))) // 3, 3)
    return f"{rounded / 1000**power:g} {' kMB'[power]}"


def duration(seconds: float) -> str:
    """54.2 → `54 s`; 250 → `4 min 10 s`; 7500 → `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def four_digits(value: float) -> str:
    """Four significant digits, and whole numbers as they are."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def amount(value: float) -> str:
    """53874.9 → `53,875`; 22.4336 → `22.43`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else four_digits(value)


def spread(measure: Measure, mean: float, deviation: float | None) -> str:
    """A mean over seeds with its standard deviation: `94.70 ± 0.31 %`; None of one seed."""
    factor, unit, digits = (100, " %", ".2f") if measure.unit == "share" else (1, "", ".4g")
    written = f"{factor * mean:{digits}}"
    return f"{written} ± {factor * deviation:{digits}}{unit}" if deviation is not None else f"{written}{unit}"


class Kind(NamedTuple):
    name: str
    write: Callable[[float], str]
    meaning: str


# What is no measure of a task, in the order of importance.
KINDS: dict[str, Kind] = {
    "test/bits_per_dim": Kind("Bits a dimension", lambda bits: f"{bits:.3f}", "those, and what the text lost, a value"),
    "test/recognised": Kind("Recognised", percent, "share of drawn images that an RBF-SVM takes for their class"),
    "test/recognised_true": Kind("True ones recognised", percent, "the same of the test images"),
    "data/tokens_per_image": Kind("Tokens an image", lambda tokens: f"{tokens:.4g}", "what one image costs to read"),
    "data/truncated_fraction": Kind("Tokens truncated", percent, "share of all tokens the model did not get to read"),
    "data/psnr_db": Kind("Text fidelity", lambda db: f"{db:.1f} dB", "PSNR of the image its text gives back"),
    "data/ssim": Kind("Structure kept", lambda value: f"{value:.3f}", "SSIM of the image its text gives back"),
    "data/bits_per_image": Kind("Bits an image", count, "entropy of its tokens, taken one by one"),
    "model/parameters": Kind("Parameters", count, "size of the model"),
    "model/trainable_parameters": Kind("Trained parameters", count, "those that learned"),
    "train/images_per_second": Kind("Images a second", count, "while training"),
    "endpoint/tokens_read": Kind("Tokens read", count, "by the endpoint's own count"),
    "endpoint/cost": Kind("Cost", lambda cost: f"{cost:.4g}", "at the prices given"),
    "time/ask_seconds": Kind("Time to ask", duration, "what was answered before is not asked again"),
    "time/prepare_seconds": Kind("Time to prepare", duration, "writing the images as text, or finding it cached"),
    "time/train_seconds": Kind("Time to train", duration, "wall clock"),
}


class Reading(NamedTuple):
    """One number as it is shown."""

    key: str
    name: str
    value: str
    interval: str  # "92.0 to 96.6 %", or nothing
    meaning: str


def readings(metrics: Mapping[str, float], measures: Sequence[Measure]) -> tuple[list[Reading], list[Reading]]:
    """The numbers of a run as (known, others): the known in their order of importance, the others sorted by key.

    `…_low` and `…_high` become their number's interval. A number that is missing or not finite is left out of the
    known; among the others it is shown as it is.

    Args:
        measures: the task's: of the test split all come first, with the loss, and of the validation split the headline.
    """
    kinds = {f"test/{each.key}": _kind(each, "Test") for each in (*measures, LOSS)}
    kinds |= {f"test/{each.key}": _kind(each, "Test") for each in measures}  # its own loss, where it has one
    kinds |= {
        f"val/{each.key}": _kind(each, "Validation", "on images set aside from training") for each in measures[:1]
    }
    kinds |= {key: kind for key, kind in KINDS.items() if key not in kinds}
    known = [_reading(metrics, key, kind) for key, kind in kinds.items() if math.isfinite(metrics.get(key, math.nan))]
    ends = {end for key in metrics if _ends(key) <= metrics.keys() for end in _ends(key)}
    shown = {reading.key for reading in known}
    others = [key for key in sorted(metrics) if key not in shown and key not in ends]
    return known, [_reading(metrics, key, Kind(key, four_digits, "")) for key in others]


def _kind(measure: Measure, split: str, meaning: str = "") -> Kind:
    return Kind(f"{split} {measure.phrase}", measure.written, meaning or measure.meaning)


def _ends(key: str) -> set[str]:
    return {f"{key}_low", f"{key}_high"}


def _reading(metrics: Mapping[str, float], key: str, kind: Kind) -> Reading:
    low, high = metrics.get(f"{key}_low", math.nan), metrics.get(f"{key}_high", math.nan)
    interval = ""
    if math.isfinite(low) and math.isfinite(high):
        start, end = kind.write(low), kind.write(high)
        unit = start.partition(" ")[2]
        # The unit once is enough: "92.0 to 96.6 %".
        interval = f"{start.removesuffix(unit).rstrip() if unit == end.partition(' ')[2] else start} to {end}"
    return Reading(key, kind.name, kind.write(metrics[key]), interval, kind.meaning)
