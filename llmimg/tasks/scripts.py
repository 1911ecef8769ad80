"""What belongs to a word, in the scripts of the world."""

import unicodedata


def in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM" and not is_form(character)


def is_form(character: str) -> bool:
    """Whether it says only how the one before is drawn: a variation selector, the frame of a keycap."""
    return "\ufe00" <= character <= "\ufe0f" or character == "\u20e3"


_UNSPACED = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x312F),  # radicals, kana, bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # ideographs
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # narrow kana
    (0x20000, 0x3FFFF),
)


def without_spaces(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


def is_hangul(character: str) -> bool:
    return 0x1100 <= ord(character) <= 0x11FF or 0xAC00 <= ord(character) <= 0xD7AF
