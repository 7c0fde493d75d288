"""A version 2 client's own data channel, over real WebRTC."""

import struct

from tests.waiting import until
from tests.webrtc.room import open_room


async def test_the_channel_a_client_makes_moves_and_types() -> None:
    async with open_room() as room:
        room.manager._legacy = True
        session = room.session("bob")
        viewer = await room.viewer(session)
        mine = viewer.pc.createDataChannel("data")
        another = viewer.pc.createDataChannel("other")
        await until(lambda: mine.readyState == "open", within=10, what="our own channel is open")
        mine.send(struct.pack("<BHHH", 1, 4, 5, 6))  # without control: dropped
        await until(lambda: session.last_input > 0, within=10, what="the first one has come")
        room.sessions.set_controller(session, session)
        mine.send(struct.pack("<BHHH", 1, 4, 300, 200))
        mine.send(struct.pack("<BHQ", 3, 8, 1))
        mine.send(struct.pack("<BHQ", 4, 8, 1))
        mine.send(struct.pack("<BHQ", 3, 8, 0x61))
        mine.send(b"\x09")
        expected = [("move", (300, 200)), ("button_down", (1,)), ("button_up", (1,)), ("key_down", (0x61,))]
        await until(lambda: len(room.desk.input.calls) >= 4, within=10, what="the input has come")
        assert room.desk.input.calls == expected
        await until(lambda: another.readyState == "closed", within=10, what="a second one is refused")
        await viewer.close()
