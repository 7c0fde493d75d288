"""The parts without input or output: back-off, keysyms, keys, spare keys, holds, cookies, cursors."""

import io
import json
from random import Random

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.config.types import ScreenSize
from streamserver.desktop import keysyms, randr, xauthority
from streamserver.desktop.backoff import Backoff
from streamserver.desktop.browser_profile import marked_clean
from streamserver.desktop.cursor import encode_png, straight_rgba
from streamserver.desktop.held import Held
from streamserver.desktop.keymap import KeyMap, Modifiers
from streamserver.desktop.spare_keys import SpareKeys

US = {
    10: (0x31, 0x21, 0x31, 0x21),
    23: (0xFF09, 0xFE20, 0xFF09, 0xFE20),
    38: (0x61, 0x41, 0x61, 0x41),
    50: (0xFFE1, 0, 0xFFE1, 0),
    61: (0x2F, 0x3F, 0x2F, 0x3F),
    87: (0xFF9C, 0xFFB1, 0xFF9C, 0xFFB1),
    94: (0x3C, 0x3E, 0x3C, 0x3E, 0x7C, 0xA6),
    110: (0xFF50, 0, 0xFF50, 0),
    120: (0, 0, 0, 0),
}
SHIFT = Modifiers(shift=True)
NONE = Modifiers()

times = st.floats(min_value=0, max_value=1e6)


@given(st.lists(times, max_size=80), st.floats(0.01, 10), st.floats(10, 100))
def test_backoff_never_exceeds_its_limit_and_forgets_after_a_stable_run(
    runs: list[float], first: float, longest: float
) -> None:
    backoff = Backoff(first=first, longest=longest, stable_after=60)
    previous = 0.0
    for ran_for in runs:
        delay = backoff.after_run(ran_for)
        assert first <= delay <= longest
        assert delay == first if ran_for >= 60 or previous == 0 else delay == min(longest, previous * 2)
        previous = delay


@given(st.characters(exclude_categories=["Cs", "Cc"]))
def test_the_keysym_of_every_character_is_canonical(character: str) -> None:
    keysym = keysyms.of_character(character)
    assert keysyms.canonical(keysym) == keysym
    assert keysyms.canonical(keysyms.UNICODE_BASE + ord(character)) == keysym
    assert not keysyms.is_function(keysym)


@given(st.integers())
def test_canonical_keysyms_are_in_range(value: int) -> None:
    keysym = keysyms.canonical(value)
    assert keysym is None or (0 < keysym <= 0x1FFFFFFF and keysyms.canonical(keysym) == keysym)


@pytest.mark.parametrize("keysym", [0, -1, 1 << 29, 0x0100D800, 0x01110000, 0x1B, 0x7F, 0xFED5, 0x1008FE01])
def test_what_nobody_may_send(keysym: int) -> None:
    assert keysyms.canonical(keysym) is None


@given(st.characters(exclude_categories=["Cs", "Cc"]))
def test_a_case_pair_holds_the_letter_and_is_the_same_from_both_sides(character: str) -> None:
    keysym = keysyms.of_character(character)
    pair = keysyms.case_pair(keysym)
    if pair is not None:
        assert keysym in pair
        assert pair[0] != pair[1]
        assert keysyms.case_pair(pair[0]) == keysyms.case_pair(pair[1]) == pair


@pytest.mark.parametrize(
    ("keysym", "modifiers", "keycode"),
    [
        (ord("a"), NONE, 38),
        (ord("A"), SHIFT, 38),
        (ord("A"), NONE, None),  # a lone capital letter: no key gives it
        (ord("a"), SHIFT, None),
        (ord("!"), SHIFT, 10),
        (ord("!"), NONE, None),
        (ord("/"), SHIFT, None),  # a German viewer's Shift+7
        (ord("C"), Modifiers(shortcut=True), None),
        (ord("A"), Modifiers(shortcut=True), 38),
        (0xFF09, SHIFT, 23),
        (0xFE20, SHIFT, 23),
        (0xFF50, SHIFT, 110),
        (0xFFE1, NONE, 50),
        (0xFFB1, NONE, None),  # a digit of the keypad with Num Lock off
        (0xFF9C, NONE, 87),
        (ord("|"), Modifiers(level3=True), 94),
        (ord("<"), Modifiers(level3=True), None),
        (0x1000448, NONE, None),
    ],
)
def test_which_key_gives_a_keysym(keysym: int, modifiers: Modifiers, keycode: int | None) -> None:
    assert KeyMap(US).find(keysym, modifiers) == keycode


@given(
    st.dictionaries(
        st.integers(8, 255), st.lists(st.integers(0, 0x200), min_size=2, max_size=7), max_size=40
    ),
    st.integers(0x20, 0x200),
    st.builds(Modifiers, st.booleans(), st.booleans()),
)
def test_a_key_that_is_found_gives_that_character(
    rows: dict[int, list[int]], keysym: int, modifiers: Modifiers
) -> None:
    keymap = KeyMap(rows)
    keycode = keymap.find(keysym, modifiers)
    if keycode is not None:
        assert keymap.symbol(keycode, modifiers) == keysym
    assert all(not any(rows[unused]) for unused in keymap.unused())


@given(
    st.lists(
        st.tuples(st.integers(0x1000400, 0x1000420), st.booleans(), st.floats(0, 1), st.booleans()),
        max_size=60,
    )
)
def test_spare_keys_lend_in_turn_and_never_a_key_that_is_down(
    uses: list[tuple[int, bool, float, bool]],
) -> None:
    spare = SpareKeys((200, 201, 202), min_reuse_age=0.3)
    now, down, used = 0.0, set[int](), dict[int, float]()
    for keysym, shift, passed, hold in uses:
        now += passed
        keycode = spare.find(keysym, shift, now)
        if keycode is None:
            loan = spare.lend(keysym, shift, now, down)
            if loan is None:
                wait = spare.wait(now, down)
                assert wait is None or 0 < wait <= 0.3 + 1e-9
                down.clear()
                continue
            keycode = loan.keycode
            assert keycode not in down
            assert now - used.get(keycode, -1) >= 0.3 - 1e-9
            assert loan.symbols[shift] == keysym
            assert spare.find(keysym, shift, now) == keycode
        used[keycode] = now
        if hold:
            down.add(keycode)
    assert spare.keycodes == {200, 201, 202}


def test_a_letter_keeps_its_key_when_its_case_follows_shift() -> None:
    spare = SpareKeys((200, 201))
    loan = spare.lend(keysyms.of_character("ш"), False, 0, ())
    assert loan is not None
    assert spare.find(keysyms.of_character("Ш"), True, 0) == loan.keycode
    assert spare.find(keysyms.of_character("Ш"), False, 0) is None


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 20)), max_size=40))
def test_what_nobody_renews_is_let_go_at_the_limit(presses: list[tuple[int, float]]) -> None:
    held, now, renewed = Held(limit=10), 0.0, dict[int, float]()
    for name, passed in presses:
        now += passed
        expired = held.release_expired(now)
        assert sorted(expired) == sorted(100 + old for old, at in renewed.items() if now - at >= 10)
        renewed = {old: at for old, at in renewed.items() if now - at < 10}
        if name in held:
            held.renew(name, now)
        else:
            held.press(name, 100 + name, now)
        renewed[name] = now
        assert held.names == renewed.keys()
    assert sorted(held.release_all()) == sorted(100 + name for name in renewed)
    assert not held.codes


@given(
    st.lists(
        st.builds(
            xauthority.AuthEntry,
            st.sampled_from([0, xauthority.FAMILY_LOCAL, xauthority.FAMILY_WILD]),
            st.binary(max_size=20),
            st.sampled_from([b"", b"0", b"7"]),
            st.sampled_from([xauthority.COOKIE_NAME, b"XDM-AUTHORIZATION-1"]),
            st.binary(max_size=20),
        ),
        max_size=5,
    ),
    st.integers(0, 60),
)
def test_the_authority_file_is_read_as_it_was_written(entries: list[xauthority.AuthEntry], cut: int) -> None:
    packed = xauthority.pack(entries)
    assert xauthority.unpack(packed) == entries
    torn = xauthority.unpack(packed[: max(0, len(packed) - cut)])
    assert torn == entries[: len(torn)]
    found = xauthority.find(entries, 7)
    assert found is None or (found.name == xauthority.COOKIE_NAME and found.number in (b"", b"7"))


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=1, max_size=64))
def test_unpremultiplied_colours_multiply_back(pixels: list[tuple[int, int, int, int]]) -> None:
    # what a server holds: each colour already multiplied by alpha
    argb = b"".join(
        bytes((round(blue * alpha / 255), round(green * alpha / 255), round(red * alpha / 255), alpha))
        for red, green, blue, alpha in pixels
    )
    rgba = straight_rgba(argb)
    for index in range(len(pixels)):
        red, green, blue, alpha = rgba[index * 4 : index * 4 + 4]
        held = argb[index * 4 : index * 4 + 4]
        assert alpha == held[3]
        for colour, multiplied in ((red, held[2]), (green, held[1]), (blue, held[0])):
            assert abs(colour * alpha / 255 - multiplied) <= 0.5 * alpha / 255 + 1e-9


@given(st.integers(1, 40), st.integers(1, 40), st.randoms())
def test_a_png_decodes_to_its_pixels(width: int, height: int, random: Random) -> None:
    rgba = random.randbytes(width * height * 4)
    with av.open(io.BytesIO(encode_png(width, height, rgba)), mode="r", format="png_pipe") as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height, frame.format.name) == (width, height, "rgba")
    plane = bytes(frame.planes[0])
    stride = frame.planes[0].line_size
    assert b"".join(plane[row * stride : row * stride + width * 4] for row in range(height)) == rgba


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"profile": {"exit_type": "Crashed", "name": "ü"}, "x": 1},
         {"profile": {"exit_type": "Normal", "exited_cleanly": True, "name": "ü"}, "x": 1}),
        ({}, {"profile": {"exit_type": "Normal", "exited_cleanly": True}}),
        ({"profile": {"exit_type": "Normal", "exited_cleanly": True}}, None),
        ({"profile": 3}, None),
        ([], None),
    ],
)  # fmt: skip
def test_a_profile_is_marked_as_left_cleanly(before: object, after: object) -> None:
    changed = marked_clean(json.dumps(before).encode())
    assert (json.loads(changed) if changed else None) == after
    assert marked_clean(b"{torn") is None


def test_the_sizes_offered_fit_and_are_multiples_of_eight_wide() -> None:
    sizes = randr.configurations(ScreenSize(1926, 1080))
    assert ScreenSize(1280, 720, 30) in sizes
    assert ScreenSize(1920, 1080, 60) in sizes
    assert all(size.width % 8 == 0 and size.width <= 1926 and size.height <= 1080 for size in sizes)
    assert {size.rate for size in sizes} == {25, 30, 60}
    assert len(set(sizes)) == len(sizes)
