"""Which parts of a configuration go together: what cannot be done, and what one choice would pass over of another."""

from typing import TYPE_CHECKING, Any

from llmimg.errors import UserError
from llmimg.readouts.settings import PROMPTED

if TYPE_CHECKING:
    from llmimg.configuration import Configuration


def check_parts(configuration: "Configuration") -> None:
    """Refuse parts that do not go together.

    Raises:
        UserError: naming the settings, and what to do.
    """
    task = configuration.task_settings
    if configuration.task_kind.by_split and configuration.model.kind != "language":
        raise UserError(
            f"task={configuration.task_name} scores all texts of a split behind each image, which model="
            f"{configuration.model.name} does not: take a language model."
        )
    if configuration.model.kind == "baseline":
        configuration.baseline.check(
            configuration.model.name, configuration.task_name, configuration.readout_name, configuration.data.images
        )
        if configuration.task_kind.independent and not configuration.baseline.several:
            raise UserError(
                f"model={configuration.model.name} takes an image for one class, and of several (task.multiple=true) "
                "it tells none: take model=constant or model=nearest."
            )
    _check_adaptation(configuration)
    _check_images(configuration)
    _check_written_images(configuration)
    _check_samples(configuration)
    _check_balance(configuration)
    _check_class_weights(configuration)
    if not configuration.task_kind.of_images and configuration.tokens.permute != "none":
        raise UserError("tokens.permute is a control of images' text, and would mix up plain text: leave it out.")
    if configuration.data.fresh and configuration.model.kind not in ("language", "baseline"):
        raise UserError(
            "data.fresh=true makes images for language models while they train, and "
            f"model={configuration.model.name} is none: set data.fresh=false."
        )
    if configuration.augment.mixup and configuration.readout_name != "head":
        raise UserError("augment.mixup blends labels, which only readout=head can learn from: set augment.mixup=0.")
    if configuration.readout_name not in (*PROMPTED, "mixture"):
        _check_without_prompt(task, configuration.readout_name)
    if configuration.readout_name == "contrastive" and configuration.trainer.get("label_smoothing_factor"):
        raise UserError(
            "trainer.label_smoothing_factor is for labels, and readout=contrastive tells rows from each other: set it "
            "to 0."
        )


def _check_images(configuration: "Configuration") -> None:
    """Refuse to take away an image where that leaves nothing."""
    images, model = configuration.data.images, configuration.model
    if images == "own" or not configuration.task_kind.of_images:
        return
    if configuration.readout_name in ("likelihood", "masked") or configuration.task_kind.writes_images:
        raise UserError(
            f"data.images={images} tells what an answer owes to its image, and with task={configuration.task_name} the "
            "image is the answer: set data.images=own."
        )
    if images == "none" and (model.kind == "image" or (model.kind == "baseline" and configuration.baseline.looks)):
        raise UserError(
            f"The model '{model.name}' sees nothing but pixels, and data.images=none gives it none: take "
            "data.images=shuffled."
        )


def _check_written_images(configuration: "Configuration") -> None:
    """Refuse what would be passed over, or break images, where the image is the answer."""
    if not configuration.task_kind.writes_images:
        return
    task, tokens, model = configuration.task_settings, configuration.tokens, configuration.model
    said = f"task={configuration.task_name} writes images"
    if model.kind != "language":
        raise UserError(f"{said}, which model={model.name} does not: take a language model.")
    refused = {
        "task.image_loss": (task.image_loss, 0.0, "is for an image in the prompt"),
        "task.samples": (task.samples, 1, "is for several answers behind one image"),
        "task.chat": (task.chat, "false", "is for answers in words"),
        "tokens.permute": (tokens.permute != "none", "none", "takes their order away"),
        "tokens.overflow": (tokens.overflow != "error", "error", "would leave them half"),
        "augment.mixup": (configuration.augment.mixup, 0, "blends classes"),
    }
    for setting, (given, usual, why) in refused.items():
        if given != usual and given:
            raise UserError(f"{said}, and {setting} {why}: set {setting}={usual}.")


def _check_samples(configuration: "Configuration") -> None:
    """Refuse several samples of a row where nothing learns from them, or they would be the same."""
    task, model = configuration.task_settings, configuration.model
    if getattr(task, "samples", 1) == 1:
        return
    several = f"task.samples={task.samples} gives a model several answers of each row to learn, and"
    if model.kind != "language" or configuration.adaptation.name == "none":
        raise UserError(f"{several} this one learns none: set task.samples=1, or take a language model that learns.")
    if configuration.readout_name not in PROMPTED:
        raise UserError(f"{several} readout={configuration.readout_name} learns none: set task.samples=1.")
    if not task.varied:
        how = " or task.order=random" if hasattr(task, "order") else ""
        raise UserError(
            f"{several} these would all be the same, as none of them is drawn by seed: set task.samples=1{how}."
        )


def _check_balance(configuration: "Configuration") -> None:
    """Refuse to draw rows by their classes where there are none, or nothing learns from what is drawn."""
    if not configuration.data.balance:
        return
    if "label" not in configuration.task_kind.columns:
        raise UserError(
            f"data.balance=true draws images by their class, and task={configuration.task_name} learns none"
            f"{' that is the only one of an image' * configuration.task_kind.independent}: set data.balance=false."
        )
    if configuration.model.kind not in ("language", "image") or configuration.adaptation.name == "none":
        raise UserError(
            "data.balance=true is for what learns epoch by epoch, and this model does not: set data.balance=false."
        )
    if configuration.data.fresh:
        raise UserError(
            "data.balance=true draws from images that are there, and data.fresh=true makes others: drop one."
        )


def _check_class_weights(configuration: "Configuration") -> None:
    """Refuse weights of classes where nothing learns by them, or rare classes are shown more often already."""
    if getattr(configuration.task_settings, "class_weights", "none") == "none":
        return
    said = f"task.class_weights={configuration.task_settings.class_weights}"
    if configuration.readout_name != "head" or configuration.model.kind not in ("language", "image"):
        raise UserError(f"{said} is for heads that learn, and nothing here learns by it: set task.class_weights=none.")
    if configuration.data.balance:
        raise UserError(f"{said} and data.balance=true both make up for rare classes: drop one.")


def _check_without_prompt(task: Any, readout: str) -> None:
    """Refuse what is said of a prompt where there is none."""
    meanings = {
        "shots": "are examples in a prompt",
        "chat": "writes a prompt as a conversation",
        "image_loss": "is for the image's text in a prompt",
    }
    for name, meaning in meanings.items():
        if getattr(task, name, 0):
            raise UserError(
                f"task.{name} {meaning}, and readout={readout} has none: take readout={' or '.join(PROMPTED)}, or "
                "leave it out."
            )


def _check_adaptation(configuration: "Configuration") -> None:
    """Refuse what of a model cannot learn, or could not be saved."""
    model, adaptation = configuration.model, configuration.adaptation
    if model.kind == "endpoint":
        _check_endpoint(configuration)
        return
    if adaptation.name != "full" and model.kind != "language":
        raise UserError(f"adaptation={adaptation.name} is for language models: take adaptation=full.")
    if adaptation.save == "adapters" and not model.pretrained:
        raise UserError(
            "adaptation.save=adapters needs a pretrained model to belong to, and this one starts from scratch: take "
            "adaptation.save=merged."
        )
    if adaptation.name == "none" and configuration.readout_name in ("head", "contrastive"):
        raise UserError(
            "adaptation=none trains nothing, and a head must be trained: take readout=score or generate, or "
            "trainer.do_train=false to evaluate a finished run."
        )
    if model.bits and adaptation.name not in ("lora", "none"):
        raise UserError(
            f"Weights kept in {model.bits} bits (model.bits) cannot learn: take adaptation=lora or none, or "
            "model.bits=null."
        )
    if model.bits and adaptation.name == "lora" and adaptation.save == "merged":
        raise UserError(
            f"Adapters cannot be added to weights kept in {model.bits} bits (model.bits) without rounding them away: "
            "set adaptation.save=adapters."
        )
    if model.pretrained and configuration.vocabulary_name in ("own", "learn") and adaptation.name in ("none", "head"):
        raise UserError(
            f"The tokens of vocabulary={configuration.vocabulary_name} are new to a pretrained model, and "
            f"adaptation={adaptation.name} would never teach it them: take vocabulary=reuse, or adaptation=lora."
        )


def _check_endpoint(configuration: "Configuration") -> None:
    """Refuse what a model that is asked over the network cannot be told, or would pass over."""
    name, tokens = configuration.model.name, configuration.tokens
    if configuration.adaptation.name != "none":
        raise UserError(f"The model '{name}' is asked, and learns nothing: set adaptation=none.")
    if configuration.launch.processes > 1:
        raise UserError(f"The model '{name}' is asked by one process: set launch.processes=1.")
    if configuration.readout_name == "score" and configuration.task_settings.chat:
        raise UserError(
            "task.chat=true is for readout=generate with an endpoint: a conversation cannot be scored there."
        )
    passed_over = {
        "ema": configuration.ema,
        "vocabulary": configuration.vocabulary.name != "auto",
        "tokens.max_length": tokens.max_length,
        "tokens.overflow": tokens.overflow != "error",
        "tokens.permute": tokens.permute != "none",
        "model.bits": configuration.model.bits,
        "task.image_loss": configuration.task_settings.image_loss,
        "task.prompts, where there are several,": len(configuration.task_settings.prompts) > 1,
        **{f"readout.{name}": given for name, given in _searching(configuration).items()},
    }
    for setting, given in passed_over.items():
        if given:
            raise UserError(f"{setting} means nothing to the model '{name}', which is only asked: leave it out.")


def _searching(configuration: "Configuration") -> dict[str, bool]:
    """Of what an answer is searched for or drawn by, whether it is said."""
    if configuration.readout_name != "generate":
        return {}
    settings = configuration.readout_settings
    usual = type(settings)()
    return {name: value != getattr(usual, name) for name, value in vars(settings).items()}
