"""The one door through which what others made comes in: configurations, weights, adapters, tokenizers, pipelines, from
the hub or a folder.

Nothing of theirs is run: `trust_remote_code=False` everywhere, so that nothing is asked on the terminal either. What
would need code of its own (`auto_map`, a kernel of the hub) is refused with a sentence. No other file calls
`from_pretrained`, `from_config` or `pipeline`; a test holds this.
"""

import contextlib
import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    pipeline,
)
from transformers.utils import cached_file

from llmimg.errors import UserError

RECOGNISER = "recogniser.json"
_UNTRUSTED: dict[str, Any] = {"trust_remote_code": False}


def load_config(path: str, revision: str | None = None, gguf_file: str | None = None) -> PreTrainedConfig:
    """The configuration of a model.

    Raises:
        UserError: where there is none, or one that only code of its own can read.
    """
    gguf = {"gguf_file": gguf_file} if gguf_file else {}
    try:
        with _no_code_of(path):
            config = AutoConfig.from_pretrained(path, revision=revision or "main", **gguf, **_UNTRUSTED)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"A GGUF file needs the package gguf: pip install gguf ({error}).") from error
    except Exception as error:  # whatever somebody else's file makes of a reader
        raise UserError(_not_there(path, "configuration")) from error
    kernel = getattr(config, "_attn_implementation", None)
    if isinstance(kernel, str) and "/" in kernel:
        raise UserError(
            f"The configuration of '{path}' asks for code of the hub ({kernel}), which is not run: take "
            '"attn_implementation" out of its config.json.'
        )
    return config


def load_weights(
    auto_class: type[AutoModel], path: str, config: PreTrainedConfig, *, revision: str | None = None, **how: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model of that configuration with the weights of a checkpoint, and what did not fit.

    Args:
        auto_class: the transformers class that gives it its head.
        how: further arguments of `from_pretrained`.

    Returns:
        The model; and `missing_keys`, `unexpected_keys`, `mismatched_keys`, as transformers tells them. Missing and
        mismatched weights are drawn anew.

    Raises:
        UserError: where there are none that can be read.
    """
    try:
        with _no_code_of(path):
            return auto_class.from_pretrained(
                path,
                config=config,
                revision=revision or "main",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **how,
                **_UNTRUSTED,
            )
    except (OSError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        raise UserError(_not_there(path, "weights")) from error


def new_model(auto_class: type[AutoModel], config: PreTrainedConfig, **how: Any) -> PreTrainedModel:
    """A model of that configuration with weights drawn anew."""
    with _no_code_of(config._name_or_path or "the model"):
        return auto_class.from_config(config, **how, **_UNTRUSTED)


def load_adapters(model: PreTrainedModel, folder: str | Path) -> Any:
    """The model with the adapters (of peft) in a folder.

    Raises:
        UserError: adapters that are torn, or of a model of another shape.
    """
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(folder))
    except (OSError, SafetensorError, pickle.UnpicklingError, EOFError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"The adapters in '{folder}' cannot be put on the model they name: give a whole folder of adapters, and "
            "the model that they were trained on."
        ) from error


def load_tokenizer_files(path: str, gguf_file: str | None = None, revision: str | None = None) -> Any:
    """A tokenizer of transformers, as it is. One that llmimg saved is what its `tokenizer.json` says, whatever
    transformers makes of those of its model's architecture.

    Raises:
        UserError: where there is none, or one that only code of its own can read.
    """
    try:
        with _no_code_of(path):
            if (Path(path) / RECOGNISER).is_file():
                return PreTrainedTokenizerFast.from_pretrained(path)
            return AutoTokenizer.from_pretrained(path, gguf_file=gguf_file, revision=revision or "main", **_UNTRUSTED)
    except UserError:
        raise
    except Exception as error:  # the tokenizers' own are bare ones
        why = "holds no tokenizer" if Path(path).exists() else _NO_ANSWER
        raise UserError(
            f"'{path}' {why}: give vocabulary.path= (or model.path=) a folder with tokenizer files, or take "
            "vocabulary=own."
        ) from error


def load_pipeline(task: str, model: str) -> Any:
    """A pipeline of transformers.

    Raises:
        UserError: where the model cannot be loaded for the task.
    """
    try:
        with _no_code_of(model):
            of_any: Any = pipeline  # its overloads know no task that is not written out
            return of_any(task, model=model, **_UNTRUSTED)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"textify=region_objects asks '{model}', which transformers cannot load for {task}: give textify.model= a "
            "hub id or a local folder of such a model, and connect to the network where it is not in the hub's cache."
        ) from error


def recogniser_described(folder: str | Path | None) -> dict[str, Any]:
    """What a recogniser that a run left says of itself (`recogniser.json`); empty for any other path, and for None.

    Raises:
        UserError: where that cannot be read.
    """
    file = Path(folder or "") / RECOGNISER
    if not folder or not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} cannot be read: give a whole folder, or carry its run out again.") from error


def weights_fingerprint(path: str, revision: str | None = None, gguf_file: str | None = None) -> str | None:
    """A hash of the weight files' bytes; of adapters, of the model they belong to as well. None where there are none.

    Args:
        path: a hub id or a local folder.
    """
    folder = _folder(path, revision, gguf_file)
    files = [] if folder is None else _weight_files(folder, gguf_file)
    if folder is None or not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    if (folder / "adapter_config.json").is_file():
        base = recogniser_described(folder).get("origin", {}).get("base") or {}
        digest.update(str(base.get("weights")).encode())
    return digest.hexdigest()


def _folder(path: str, revision: str | None, gguf_file: str | None) -> Path | None:
    """Where the files of a hub id or of a folder lie."""
    if Path(path).is_dir():
        return Path(path)
    with contextlib.suppress(OSError, ValueError):
        found = cached_file(path, gguf_file or "config.json", revision=revision or "main", local_files_only=True)
        return None if found is None else Path(found).parent
    return None


def _weight_files(folder: Path, gguf_file: str | None) -> list[Path]:
    """Those that transformers reads: safetensors before pickles, adapters where they are what a folder holds."""
    if gguf_file:
        return [folder / gguf_file] if (folder / gguf_file).is_file() else []
    patterns = ("adapter_model.safetensors", "adapter_model.bin") if (folder / "adapter_config.json").is_file() else ()
    for pattern in (*patterns, "model*.safetensors", "pytorch_model*.bin"):
        if found := sorted(folder.glob(pattern)):
            return found
    return []


_NO_ANSWER = "is no local folder, and the hub has no answer for it"


def _not_there(path: str, what: str) -> str:
    if Path(path).is_dir():
        return f"The folder '{path}' holds no model {what} that transformers can read: give model.path= a whole model."
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    return (
        f"The model '{path}' {_NO_ANSWER}{offline}: check the name and the network, or give model.path= a local "
        "folder, or choose a model from scratch (model=gpt2_tiny)."
    )


@contextlib.contextmanager
def _no_code_of(path: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if "trust_remote_code" not in str(error) and "custom code" not in str(error):
            raise
        raise UserError(
            f"'{path}' can be read only by code of its own (auto_map), and code that comes with a model is not run: "
            "give one whose architecture transformers knows."
        ) from error
