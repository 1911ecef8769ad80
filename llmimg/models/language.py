"""Language models: from scratch, from the hub, a local folder, a GGUF file, or another run."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModel, GgufConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from llmimg.errors import UserError
from llmimg.hub import load_config, new_model
from llmimg.models.classes import fit_classes, output_names
from llmimg.models.embeddings import fit_embeddings
from llmimg.models.loading import Loaded, are_adapters, load_model, with_positions
from llmimg.models.looks import Looks, begin_as
from llmimg.models.positions import readable_length
from llmimg.models.quantised import quantisation
from llmimg.models.scratch import ARCHITECTURES, Sizes
from llmimg.models.settings import ModelSettings
from llmimg.nearest import choose
from llmimg.tokens.vocabulary import Vocabulary


def context_limit(settings: ModelSettings, causal: bool = False, others: Sequence[str] = ()) -> int | None:
    """The longest sequence a pretrained model reads; None from scratch, where the data decide.

    Args:
        causal: whether it is needed as a causal model.
        others: readouts of the task that do not need one.

    Raises:
        UserError: where there is no such model, or it sees what comes after, and must not.
    """
    config = None
    if settings.pretrained:
        path, gguf_file = settings.known_location
        config = load_config(path, settings.revision, gguf_file)
    kind = config.get_text_config().model_type if config else settings.architecture
    if causal and kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise UserError(
            f"The model '{settings.path or settings.architecture}' sees what comes after a token, and this task and "
            "readout need a causal one: take "
            + " or ".join(["model=gpt2_tiny or another decoder", *(f"readout={name}" for name in others)])
            + "."
        )
    limit = None if config is None else readable_length(config)
    if settings.positions is None:
        return limit
    if limit is None or settings.positions <= limit:
        reads = "any number of" if limit is None else f"{limit:,}"
        raise UserError(
            f"model.positions={settings.positions} adds nothing, as '{settings.path}' reads {reads} tokens: leave it "
            "out. To read fewer, set tokens.max_length."
        )
    return settings.positions


def make_model(
    settings: ModelSettings,
    vocabulary: Vocabulary,
    context: int,
    auto_class: type[AutoModel],
    head: Mapping[str, Any],
    *,
    learns: bool = True,
    notes: list[str] | None = None,
    looks: Looks | None = None,
) -> PreTrainedModel:
    """The model, with embeddings for every token of the vocabulary and its padding token set.

    Its attribute `drawn` names the weights that no checkpoint had, and that were drawn at random; empty from scratch.

    Args:
        context: the longest sequence, framing included; from scratch, so many positions.
        auto_class: the transformers class that gives the model its head.
        head: what that head needs in the configuration (`num_labels`, …).
        learns: whether it is trained: nothing that is drawn at random is of use without.
        notes: what a reader must know is added.
        looks: what tokens look like, where a model from scratch begins; None begins at random.

    Raises:
        UserError: where there is no such model, its architecture has no such head, or it would have to answer with
            classes or read tokens that nothing teaches it.
    """
    pad, notes = vocabulary.tokenizer.pad_token_id, [] if notes is None else notes
    try:
        if settings.pretrained:
            model = _pretrained(settings, vocabulary, auto_class, dict(head), learns, notes)
        else:
            sizes = Sizes(vocabulary=len(vocabulary.tokenizer), context=context, pad=pad)
            config = choose(settings.architecture or "", ARCHITECTURES, "model architecture")(settings, sizes)
            config.update(dict(head))
            model = new_model(auto_class, config, dtype=getattr(torch, settings.dtype))
            _keep_drawn(model, frozenset())
            if looks is not None:
                notes.append(begin_as(model, looks, settings.initializer_range))
            if not learns:
                notes.append("The model starts from scratch and nothing trains it: its answers are chance.")
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        raise UserError(
            f"transformers knows no {auto_class.__name__.removeprefix('AutoModelFor')} head for the model "
            f"'{settings.path or settings.architecture}': choose another model or readout."
        ) from error
    model.config.pad_token_id = pad
    return model


def _pretrained(
    settings: ModelSettings,
    vocabulary: Vocabulary,
    auto_class: type[AutoModel],
    head: dict[str, Any],
    learns: bool,
    notes: list[str],
) -> PreTrainedModel:
    if settings.init == "random":
        path, gguf_file = settings.known_location
        config = load_config(path, settings.revision, gguf_file)
        config.update(head)
        loaded = Loaded(new_model(auto_class, config, dtype=getattr(torch, settings.dtype)), *[frozenset()] * 3)
    else:
        loaded = _checkpoint(settings, auto_class, head, learns, notes)
    positions: frozenset[str] = frozenset()
    if settings.positions is not None:
        more = settings.positions - (readable_length(loaded.model.config) or 0)
        loaded, positions = with_positions(loaded, auto_class, more)
        notes.append(f"The model '{settings.path}' reads {settings.positions:,} tokens, {more:,} more than it learned.")
    model = loaded.model
    rows = fit_embeddings(model, vocabulary)
    if settings.init == "pretrained":
        notes += _drawn_notes(loaded, str(settings.path))
        _check_new_tokens(model, vocabulary, rows, str(settings.path), learns, notes)
    _keep_drawn(model, loaded.drawn | rows | positions)
    return model


def _keep_drawn(model: Any, names: frozenset[str]) -> None:
    model.drawn = names


def _checkpoint(
    settings: ModelSettings, auto_class: type[AutoModel], head: dict[str, Any], learns: bool, notes: list[str]
) -> Loaded:
    """The checkpoint's weights, under a head for the data's classes."""
    path, gguf_file = settings.known_location
    config = load_config(path, settings.revision, gguf_file)
    had, wanted = output_names(config), list(head.get("id2label", {}).values())
    # Of the same names, in whatever order, or of adapters: as it is first, and brought to the data's order then.
    if not are_adapters(path) and (not wanted or had is None or sorted(had) != sorted(wanted)):
        config.update(head)
    # The checkpoint's own dtype would be taken otherwise; mixed precision wants float32 weights.
    dtype = getattr(torch, settings.dtype)
    how: dict[str, Any] = {}
    if gguf_file:  # its weights are to learn: unpacked, as those of any other model
        how = {"gguf_file": gguf_file, "quantization_config": GgufConfig(dequantize=True)}
    elif settings.bits:
        how = {"quantization_config": quantisation(settings.bits, auto_class, config, dtype)}
    loaded = load_model(auto_class, path, config, revision=settings.revision, dtype=dtype, **how)
    if wanted:
        loaded = fit_classes(loaded, auto_class, had, wanted, str(settings.path), learns, notes)
        loaded.model.config.update({**head, "problem_type": None})
    elif head:
        notes += _new_head(loaded, path, learns)
    if settings.init == "shuffled":
        _shuffled(loaded.model)
    return loaded


def _new_head(loaded: Loaded, path: str, learns: bool) -> list[str]:
    """That a head, which speaks of no classes, was drawn at random, where it was."""
    prefix = f"{loaded.model.base_model_prefix}."
    drawn = sorted(name for name in loaded.drawn if not name.startswith(prefix))
    taught = "" if learns else ", and nothing trains it"
    return [f"The head is drawn at random{taught}: '{path}' holds none of its shape ({drawn[0]})."] if drawn else []


def _drawn_notes(loaded: Loaded, path: str) -> list[str]:
    """What of the checkpoint and the model did not fit each other, heads aside.

    Raises:
        UserError: where next to nothing did: they are of different models.
    """
    prefix = f"{loaded.model.base_model_prefix}."
    body = {name for name, _ in loaded.model.named_parameters() if name.startswith(prefix)}
    drawn, left_out = (
        sorted(name for name in names if name.startswith(prefix) and not name.endswith(".position_ids"))
        for names in (loaded.drawn & body, loaded.unexpected)
    )
    if 2 * len(drawn) > len(body):
        raise UserError(
            f"The weights in '{path}' are of another model than its configuration says ({len(drawn)} of {len(body)} "
            f"are missing, as {drawn[0]}): give model.path= a whole model."
        )
    notes = []
    if drawn:
        notes.append(f"'{path}' lacks {len(drawn)} weights of the model, which are drawn at random ({drawn[0]}, …).")
    if left_out:
        notes.append(f"'{path}' holds {len(left_out)} weights that the model has no place for ({left_out[0]}, …).")
    return notes


def _check_new_tokens(
    model: PreTrainedModel, vocabulary: Vocabulary, rows: frozenset[str], path: str, learns: bool, notes: list[str]
) -> None:
    """Say, or refuse where nothing teaches them, tokens that the model never saw and whose rows say nothing."""
    words = [token for token, stands_for in vocabulary.replaced.items() if not stands_for]
    if not learns and (words or rows):
        named = vocabulary.tokenizer.convert_ids_to_tokens(words[:6]) or [f"those of vocabulary={vocabulary.name}"]
        raise UserError(
            f"The model '{path}' never saw these tokens, and nothing would teach it them: {', '.join(map(repr, named))}"
            f"{', …' if len(words) > 6 else ''}. Give it the classes, task.prompts and vocabulary that it was trained "
            "with, or train it."
        )
    if vocabulary.name in ("own", "learn"):
        notes.append(f"All {len(vocabulary.tokenizer):,} tokens are new to '{path}' (vocabulary={vocabulary.name}).")
    stand_for = len(vocabulary.replaced) - len(words)
    for count, how in ((stand_for, "as the mean of those they stand for"), (len(words), "around the mean of its own")):
        if count:
            notes.append(f"{count:,} tokens are new to '{path}', and begin {how}.")
    if rows and vocabulary.name in ("reuse", "extend"):
        notes.append(f"The tokenizer has more tokens than '{path}' has embeddings: theirs are drawn at random.")


@torch.no_grad()
def _shuffled(model: PreTrainedModel) -> PreTrainedModel:
    """With the values of each tensor in another order: what was learned is gone, how large weights are is not."""
    for weight in model.parameters():
        weight.copy_(weight.flatten()[torch.randperm(weight.numel(), device=weight.device)].view_as(weight))
    return model
