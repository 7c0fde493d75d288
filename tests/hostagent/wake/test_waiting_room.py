"""Who waits, how many and how long: checked against a list."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from hostagent.network.contract import WakePacket
from hostagent.wake.waiting_room import WaitingRoom

ADDRESSES = [IPv4Address(f"10.0.0.{number}") for number in range(3)]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("leave"), st.sampled_from(ADDRESSES)),
        st.tuples(st.just("pass"), st.floats(0, 3)),
    ),
    max_size=60,
)


@given(st.integers(1, 4), steps)
def test_like_a_list(most: int, schedule: list[tuple[str, object]]) -> None:
    room, now = WaitingRoom(most, 2.0), 0.0
    expected: list[tuple[int, IPv4Address, float]] = []
    for number, (step, argument) in enumerate(schedule):
        if step == "admit":
            assert isinstance(argument, IPv4Address)
            fits = sum(address == argument for _, address, _ in expected) < most
            assert room.is_full(argument) is not fits
            assert room.admit(number, WakePacket(argument), now) is fits
            if fits:
                expected.append((number, argument, now + 2.0))
        elif step == "leave":
            assert isinstance(argument, IPv4Address)
            left = [waiting.number for waiting in room.leave(argument)]
            assert left == [one for one, address, _ in expected if address == argument]
            expected = [one for one in expected if one[1] != argument]
        else:
            assert isinstance(argument, float)
            now += argument
            late = sorted(waiting.number for waiting in room.give_up(now))
            assert late == [one for one, _, until in expected if until <= now]
            expected = [one for one in expected if one[2] > now]
        assert len(room) == len(expected)
        assert room.next_deadline() == min((until for _, _, until in expected), default=None)
        for address in ADDRESSES:
            assert len(room.packets(address)) == sum(one[1] == address for one in expected)
    room.clear()
    assert len(room) == 0
    assert room.next_deadline() is None
