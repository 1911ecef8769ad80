import pytest

from llmimg.models.settings import ModelSettings
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make


@pytest.fixture
def task():
    return TASKS["classify"].with_settings(DataInfo(("cat", "dog", "tree")))


@pytest.fixture
def textifier():
    return make("region_color", grid=2)


@pytest.fixture(scope="session")
def scratch():
    """Settings of a tiny model from scratch."""

    def settings(architecture: str, **others) -> ModelSettings:
        return ModelSettings(name="tiny", architecture=architecture, width=16, heads=2, **others)

    return settings


@pytest.fixture(scope="session")
def pretrained():
    """Settings of a pretrained model."""

    def settings(path, **others) -> ModelSettings:
        return ModelSettings(name="pretrained", path=str(path), **others)

    return settings
