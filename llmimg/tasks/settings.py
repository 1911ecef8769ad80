"""What every task whose answers are written can be set to."""

from typing import Annotated, ClassVar

from pydantic import Field

from llmimg.settings import Positive, settings_of
from llmimg.tasks.templates import Prompts, check_prompts


@settings_of("task")
class AnswerSettings:
    """What every task whose answers are written can be set to.

    Attributes:
        chat: write a sample as the turns of a conversation, by the tokenizer's own chat template: the prompt is the
            user's, the answer the model's.
        shots: how many training images with their answers stand in front of each image, drawn by `seed`, as evenly of
            all classes as goes.
        image_loss: how much the mean loss over the image's own text in the prompt counts beside that over the answer.
        samples: how many samples of a row, each by a seed of its own, stand behind one text of its image in training.
        prompts: the words in which it is asked (`llmimg.tasks.templates`): one text, or several, of which training
            draws one for each sample, and evaluation takes each in turn.
    """

    fields: ClassVar[tuple[str, ...]] = ("image",)  # what each of its prompts has once
    constants: ClassVar[tuple[str, ...]] = ()  # what may stand in front of the image besides, the same for every row
    ends: ClassVar[bool] = False  # whether words behind `{answer}` end an answer

    prompts: Prompts = ("{image}",)
    chat: bool = False
    shots: Annotated[int, Field(ge=0)] = 0
    image_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    samples: Positive = 1

    def __post_init__(self) -> None:
        check_prompts(self.prompts, self.fields, self.constants, self.ends)

    @property
    def varied(self) -> bool:
        """Whether anything of a sample to learn from differs by its seed."""
        return len(self.prompts) > 1
