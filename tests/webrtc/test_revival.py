"""Viewers are brought back after a stop, by the quickest means that works.

Whole stops are in tests/e2e/test_freeze.py.
"""

from __future__ import annotations

import time

import pytest

from streamserver.sessions.model import Message, Session
from streamserver.webrtc import revival
from streamserver.webrtc.consent import Stop
from streamserver.webrtc.peer import PeerState
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from tests.waiting import until
from tests.webrtc.browser import look, open_page, watch
from tests.webrtc.room import Room, Viewer, lite, peer_of

ANSWER = """async ({name, sdp}) => {
    const {pc} = window[name];
    await pc.setRemoteDescription({type: "offer", sdp});
    await pc.setLocalDescription(await pc.createAnswer());
    return pc.localDescription.sdp;
}"""


class Post:
    """A session's WebSocket: what was sent to it."""

    def __init__(self, session: Session) -> None:
        self.sent: list[tuple[str, dict[str, object]]] = []
        session.socket = self

    def send(self, event: str, payload: object = None) -> None:
        assert isinstance(payload, dict)
        self.sent.append((event, payload))

    def pass_on(self, message: Message) -> None:
        self.send(message.event, message.payload)

    def close(self, reason: str) -> None:
        pass

    def events(self) -> list[str]:
        return [event for event, _ in self.sent if event.startswith("signal/")]


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revival, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(revival, "RESTART_AFTER", 0.3)
    monkeypatch.setattr(revival, "REPLACE_AFTER", 0.8)
    monkeypatch.setattr(revival, "GIVE_UP_AFTER", 3.0)


def stop(room: Room) -> None:
    room.manager._after_stop(Stop(seconds=20, counted=20))


async def done(room: Room) -> None:
    task = room.manager._reviver
    assert task is not None
    await until(task.done, within=10, what="it is over")
    task.result()


@pytest.mark.usefixtures("_quick")
async def test_checks_of_ours_are_enough_for_a_viewer_who_answers(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    post = Post(bob)
    peer = peer_of(bob)
    stop(room)
    await done(room)
    assert post.events() == []
    assert peer_of(bob) is peer
    await viewer.close()


@pytest.mark.usefixtures("_quick")
async def test_a_viewer_who_answers_no_check_is_offered_a_restart_then_a_new_connection(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    post = Post(bob)
    old = peer_of(bob)
    old.set_audio(AudioRequest(disabled=True))
    # cut the network: what the client sends goes nowhere
    for protocol in viewer.pc.getTransceivers()[0].receiver.transport.transport._connection._protocols:
        protocol.transport.abort()
    stop(room)
    await until(lambda: "signal/audio" in post.events(), within=10, what="everything is tried")
    assert post.events() == ["signal/restart", "signal/provide", "signal/video", "signal/audio"]
    offers = [payload["sdp"] for event, payload in post.sent if event in ("signal/restart", "signal/provide")]
    assert len(set(map(str, offers))) == 2
    assert post.sent[-1][1] == {"disabled": True}, "the new one brings what the old one brought"
    assert old.state is PeerState.CLOSED
    again = Viewer(bob, viewer.provide)
    await again.answer(str(offers[1]))
    await until(lambda: again.pictures, within=10, what="the picture is back")
    await done(room)
    await again.close()
    await viewer.close()


@pytest.mark.usefixtures("_quick")
async def test_without_a_websocket_nothing_is_offered(room: Room) -> None:
    bob = room.session("bob")
    await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
    peer = peer_of(bob)
    stop(room)
    await done(room)
    assert peer_of(bob) is peer


async def test_an_ice_restart_is_a_sign(room: Room) -> None:
    """A real browser that cannot answer our checks (we have a wrong password for them) takes the restart."""
    async with open_page() as page:
        await watch(room, page, "bob")
        frames = (await look(page, "bob", 5))["frames"]
        bob = room.sessions.get("bob")
        assert bob is not None
        post = Post(bob)
        peer = peer_of(bob)
        lite(bob).remote_password = "not the browser's"
        began = time.monotonic()
        stop(room)
        await until(post.events, within=10, what="a restart is offered")
        assert time.monotonic() - began >= revival.RESTART_AFTER
        offer = post.sent[0][1]["sdp"]
        assert await peer.restart() == offer, "asked again before the answer it is the same offer"
        await peer.set_answer(await page.evaluate(ANSWER, {"name": "bob", "sdp": offer}))
        await done(room)
        assert time.monotonic() - began < revival.REPLACE_AFTER
        assert post.events() == ["signal/restart"]
        assert peer_of(bob) is peer
        assert isinstance(frames, int)
        await look(page, "bob", frames + 10)
