"""A finished run as one HTML file that loads nothing from elsewhere and needs no script."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmimg.report import plots, words
from llmimg.report.drawing import drawn
from llmimg.report.numbers import amount, readings, spread
from llmimg.report.record import RunRecord

if TYPE_CHECKING:
    from jinja2 import Environment

THUMBNAIL = 384  # pixels: larger images are shrunk for the page


def render(record: RunRecord) -> str:
    """The page. It is a function of the record alone: the same run gives the same bytes."""
    known, others = readings(record.metrics, record.measures)
    curves = [plots.loss_curve(record.history)]
    curves += [plots.score_curve(record.history, measure) for measure in record.measures[:1]]
    page = (
        page_environment()
        .get_template("page.html.jinja")
        .render(
            record=record,
            heading=words.heading(record),
            story=words.story(record),
            seen=words.seen(record),
            ranked=words.ranked(record),
            known=known,
            others=others,
            curves=[plot for plot in curves if plot],
            figures=[drawn(figure) for figure in record.figures],
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
    environment.filters.update(data_uri=data_uri, setting=_setting, amount=amount, spread=spread)
    return environment


def data_uri(image: np.ndarray) -> str:
    """A PNG `data:` URI of an image, uint8 [H, W, C]."""
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _budget(record: RunRecord) -> dict[str, Any]:
    if not record.lengths.size:
        return {"budget": "", "tokens": "", "filled": 0.0}
    return {
        "budget": words.budget(record),
        "tokens": plots.token_budget(record.lengths, record.context),
        "filled": min(1.0, float(np.median(record.lengths)) / max(1, record.context)),
    }


def _setting(value: Any) -> str:
    """A value as YAML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting, value))}]"
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )
