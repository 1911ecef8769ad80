"""Which checkpoint an unfinished run goes on from."""

import json
from pathlib import Path

_MARK = "checkpoint-is-incomplete.txt"  # transformers' own, while it saves on a signal to end
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors", "pytorch_model_fsdp_0")


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder` (`checkpoint-<step>`), or None.

    What a killed run left unfinished is passed over.
    """
    steps = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    whole = [path for path, step in steps.items() if step.isdigit() and is_whole(path)]
    return max(whole, key=lambda path: int(steps[path]), default=None)


def is_whole(checkpoint: Path) -> bool:
    """Whether weights, optimizer and state are all there. The Trainer writes the state last; it must be readable to
    its end."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    if (checkpoint / _MARK).exists():
        return False
    return any((checkpoint / name).exists() for name in _WEIGHTS) and any(checkpoint.glob("optimizer*"))
