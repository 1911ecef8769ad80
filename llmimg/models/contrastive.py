"""Language models whose pooled state is brought to a space that images and texts share: transformers' own sequence
classifiers, of which the classes' logits are a text's coordinates, and a temperature beside them."""

import functools
import math
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

_MOST = math.log(100)  # as in CLIP: products of unit vectors grow no further


class Temperature(torch.nn.Module):
    """Divides by a temperature that is learned, as its negative logarithm."""

    def __init__(self):
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.zeros(()))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Unit vectors `[…, D]`, of such a length that their products are divided by the temperature."""
        if self.training:
            with torch.no_grad():
                self.log_scale.clamp_(max=_MOST)
        return vectors * (self.log_scale / 2).exp()


class AutoModelForContrast(AutoModelForSequenceClassification):
    """The model of a configuration with such a projection: `config.num_labels` is the width of the space, and
    `config.initial_temperature` where the temperature begins.

    `logits` are float32 `[B, D]`: the pooled states' projections as unit vectors, divided by the root of the
    temperature. `AutoModelForSequenceClassification` reads what it saves, and gives the projections as they are.
    """


@functools.cache
def _of(kind: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """A sequence classifier with a temperature."""
    base: Any = kind

    class Contrastive(base):
        def __init__(self, config: PreTrainedConfig):
            super().__init__(config)
            self.temperature = Temperature()
            self.post_init()

        def _init_weights(self, module: torch.nn.Module) -> None:
            if isinstance(module, Temperature):
                torch.nn.init.constant_(module.log_scale, -math.log(self.config.initial_temperature))
            else:
                super()._init_weights(module)

        @functools.wraps(base.forward)
        def forward(self, *arguments: Any, **named: Any) -> Any:
            found = super().forward(*arguments, **named)
            found.logits = self.temperature(torch.nn.functional.normalize(found.logits.float(), dim=-1))
            return found

    # What is saved is the architecture's own, and its temperature besides.
    Contrastive.__name__ = Contrastive.__qualname__ = kind.__name__
    return Contrastive


class _Mapping:
    """Configuration → its model with a temperature, over those of transformers."""

    def __init__(self, known: Any):
        self._known = known

    def __getitem__(self, config: type[PreTrainedConfig]) -> type[PreTrainedModel]:
        return _of(self._known[config])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name)

    def __contains__(self, config: object) -> bool:
        return config in self._known

    def __iter__(self) -> Any:
        return iter(self._known)


AutoModelForContrast._model_mapping = _Mapping(AutoModelForSequenceClassification._model_mapping)
