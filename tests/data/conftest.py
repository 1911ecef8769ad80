import io
import os
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache of data sets, and none goes to the network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def shared():
    """The folder of shared data sets, in the hub's layout."""
    folder = Path(os.environ.get("LLMIMG_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data sets at {folder} (set LLMIMG_SHARED)")
    return folder


@pytest.fixture
def hub_folder(tmp_path):
    """Makes a local folder in the hub's layout: one parquet file a split, of small PNGs of a flat gray."""

    def make(features: dict | None = None, **splits: dict) -> Path:
        folder = tmp_path / "hub"
        folder.mkdir(exist_ok=True)
        for name, columns in splits.items():
            data = datasets.Dataset.from_dict(columns, features=datasets.Features(features) if features else None)
            data.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))
        return folder

    return make


def png(value: int = 0, size: tuple[int, int] = (4, 4), mode: str = "L") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full(size, value, np.uint8)).convert(mode).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def make_png():
    return png
