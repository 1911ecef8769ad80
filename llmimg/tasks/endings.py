"""Why a model stopped writing, as servers say it (`finish_reason`)."""

TRUNCATED = "truncated"
REFUSED = "refused"
BROKEN_OFF = "broken off"

_KINDS = {
    TRUNCATED: ("length", "max_tokens", "max_output_tokens", "max_new_tokens", "model_length"),
    REFUSED: ("content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
    "": ("stop", "eos", "eos_token", "end_of_text", "end_turn", "stop_sequence", "complete", "completed", "finished"),
}


def ending(finish: str | None) -> str:
    """`TRUNCATED` at the limit, `REFUSED`, `BROKEN_OFF` for another reason than the answer's own end; empty where it
    came to that end, or nothing is known."""
    reason = (finish or "stop").casefold()
    return next((kind for kind, reasons in _KINDS.items() if reason in reasons), BROKEN_OFF)
