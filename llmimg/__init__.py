"""llmimg: a language model sees an image only as text."""

__version__ = "0.1.0"
__all__ = ["Recogniser", "UserError"]


def __getattr__(name: str):
    # On demand, so that `import llmimg.textify` starts in a blink.
    if name == "Recogniser":
        from llmimg.recogniser import Recogniser

        return Recogniser
    if name == "UserError":
        from llmimg.errors import UserError

        return UserError
    raise AttributeError(f"module 'llmimg' has no attribute '{name}'")
