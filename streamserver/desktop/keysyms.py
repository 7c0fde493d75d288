"""What a keysym is: a character, a function key or a modifier (X11 protocol, appendix A; keysymdef.h)."""

UNICODE_BASE = 0x01000000
"""A keysym of a character beyond Latin-1 is this plus its code point."""

NO_SYMBOL = 0

SHIFT = frozenset({0xFFE1, 0xFFE2})
LEVEL3_SHIFT = frozenset({0xFE03, 0xFF7E})
"""ISO_Level3_Shift (AltGr) and Mode_switch."""
SHORTCUT_MODIFIERS = frozenset({0xFFE3, 0xFFE4, *range(0xFFE7, 0xFFEF)})
"""Control, Meta, Alt, Super and Hyper: with one of them held a key is a command, not a character."""
LOCKS = frozenset({0xFFE5, 0xFFE6, 0xFF7F, 0xFE01})
"""Caps_Lock, Shift_Lock, Num_Lock and ISO_Lock."""
MODIFIERS = SHIFT | LEVEL3_SHIFT | SHORTCUT_MODIFIERS

_KEYPAD = frozenset({*range(0xFF95, 0xFFA0), *range(0xFFAA, 0xFFBA), 0xFF80, 0xFFBD})
_FUNCTION = range(0xFD00, 0x10000)
_VENDOR = 0x10000000
_SERVER_ACTIONS = frozenset({0xFED5, *range(0xFEE0, 0xFF00), *range(0x1008FE00, 0x1008FF00)})
"""Terminate_Server, pointer keys and virtual-terminal switches: they act on the X server itself."""


def canonical(keysym: int) -> int | None:
    """Return the keysym in its usual form, or None when there is none or nobody may send it."""
    if keysym in _SERVER_ACTIONS or not 0 < keysym <= 0x1FFFFFFF:
        return None
    if UNICODE_BASE <= keysym < _VENDOR:
        code_point = keysym - UNICODE_BASE
        if code_point > 0x10FFFF or 0xD800 <= code_point <= 0xDFFF:
            return None
        if code_point < 0x100:
            keysym = code_point
    if keysym < 0x20 or 0x7F <= keysym < 0xA0:
        return None
    return keysym


def of_character(character: str) -> int:
    """Return the keysym of one character; newline, tab and backspace are the keys of that name."""
    code_point = ord(character)
    if character in "\n\r":
        return 0xFF0D
    if character in "\t\b":
        return 0xFF00 | code_point
    return code_point if code_point < 0x100 else UNICODE_BASE + code_point


def is_function(keysym: int) -> bool:
    """Whether it is a key such as Return or F5, which Shift does not turn into something else."""
    return (keysym in _FUNCTION and keysym not in _KEYPAD) or keysym >= _VENDOR


def case_pair(keysym: int) -> tuple[int, int] | None:
    """Return the keysyms of the lower and upper case of a letter, None for all else."""
    if keysym < 0x100:
        character = chr(keysym)
    elif UNICODE_BASE <= keysym < _VENDOR:
        character = chr(keysym - UNICODE_BASE)
    else:
        return None
    lower, upper = character.lower(), character.upper()
    if len(lower) != 1 or len(upper) != 1 or lower == upper or character not in (lower, upper):
        return None
    if lower.upper() != upper or upper.lower() != lower:
        return None
    return of_character(lower), of_character(upper)
