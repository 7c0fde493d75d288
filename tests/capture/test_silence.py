from hypothesis import given
from hypothesis import strategies as st

from streamserver.capture.silence import SILENCE_HOLD, SilenceGate

PACKET = 0.02


def test_silence_is_sent_for_half_a_second_and_then_stops() -> None:
    gate = SilenceGate()
    admitted = [gate.admit(silent=True, duration=PACKET) for _ in range(100)]
    assert sum(admitted) == SILENCE_HOLD / PACKET
    assert admitted == sorted(admitted, reverse=True)


def test_a_new_listener_opens_it_again() -> None:
    gate = SilenceGate()
    while gate.admit(silent=True, duration=PACKET):
        pass
    gate.reopen()
    assert gate.admit(silent=True, duration=PACKET)


@given(st.lists(st.booleans(), max_size=200))
def test_sound_always_passes_and_long_silence_never(silence: list[bool]) -> None:
    gate, quiet = SilenceGate(), 0
    for silent in silence:
        quiet = quiet + 1 if silent else 0
        admitted = gate.admit(silent=silent, duration=PACKET)
        assert admitted or silent
        assert not (admitted and quiet * PACKET > SILENCE_HOLD + PACKET)
