"""A finished run as one HTML file that loads nothing from elsewhere and needs no script."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llmimg.metrics.classification import BINS, confusion_matrix, reliability
from llmimg.report import plots, words
from llmimg.report.numbers import amount, readings
from llmimg.report.record import RunRecord

if TYPE_CHECKING:
    from jinja2 import Environment

THUMBNAIL = 384  # pixels: larger images are shrunk for the page
CONFUSIONS = 10


def render(record: RunRecord) -> str:
    """The page. It is a function of the record alone: the same run gives the same bytes."""
    known, others = readings(record.metrics)
    page = (
        page_environment()
        .get_template("page.html.jinja")
        .render(
            record=record,
            story=words.story(record),
            known=known,
            others=others,
            curves=[plot for plot in (plots.loss_curve(record.history), plots.accuracy_curve(record.history)) if plot],
            **_classes(record),
            **_budget(record),
        )
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # a folder's name may hold what UTF-8 cannot


def page_environment() -> "Environment":
    """What pages are rendered in: their templates and filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(data_uri=data_uri, setting=_setting, amount=amount)
    return environment


def data_uri(image: np.ndarray) -> str:
    """A PNG `data:` URI of an image, uint8 [H, W, C]."""
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


class ClassRow(NamedTuple):
    name: str
    images: int
    right: int
    recall: float | None  # None: no test image of the class
    precision: float | None  # None: never predicted
    mistaken: str  # the class it is most often mistaken for, and how often


def _classes(record: RunRecord) -> dict[str, Any]:
    """What the sections on single classes show; nothing of it where the run predicts no classes."""
    if not record.probabilities.size:
        return {"classes": [], "confusions": [], "confusion": "", "reliability": ""}
    total = record.probabilities.shape[1]
    names = [*record.label_names, *map(str, range(len(record.label_names), total))]
    matrix = confusion_matrix(record.probabilities.argmax(axis=1), record.labels, total)
    wrong = matrix * (1 - np.eye(total, dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return {
        "classes": [_class_row(matrix, wrong, names, number) for number in range(total)],
        "confusions": [(names[a], names[b], int(wrong[a, b])) for a, b in pairs if wrong[a, b]],
        "confusion": plots.confusion(matrix, names),
        "reliability": plots.reliability(reliability(record.probabilities, record.labels, BINS)),
    }


def _class_row(matrix: np.ndarray, wrong: np.ndarray, names: list[str], number: int) -> ClassRow:
    images, predicted, right = (
        int(each) for each in (matrix[number].sum(), matrix[:, number].sum(), matrix[number, number])
    )
    rival = int(wrong[number].argmax())
    return ClassRow(
        names[number],
        images,
        right,
        right / images if images else None,
        right / predicted if predicted else None,
        f"{names[rival]} ({wrong[number, rival]})" if wrong[number, rival] else "",
    )


def _budget(record: RunRecord) -> dict[str, Any]:
    if not record.lengths.size:
        return {"budget": "", "tokens": "", "filled": 0.0}
    return {
        "budget": words.budget(record),
        "tokens": plots.token_budget(record.lengths, record.context),
        "filled": min(1.0, float(np.median(record.lengths)) / max(1, record.context)),
    }


def _setting(value: Any) -> str:
    """A plain value as YAML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting, value))}]"
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )
