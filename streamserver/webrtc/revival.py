"""Brings viewers back after the server was stopped: browsers give up after 16 s, and need a push then.

In the order of what is quickest: checks of our own (a browser answers, and checks again itself), a restart of
ICE over the WebSocket, a new connection.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable, Iterable

from streamserver.logs import get_logger

from .errors import WebRTCError
from .peer import Peer, PeerState

log = get_logger("webrtc")

CHECK_INTERVAL = 0.25
"""Seconds between two rounds of checks."""

RESTART_AFTER = 1.5
"""Seconds without an answer to our checks after which ICE is restarted."""

REPLACE_AFTER = 5.0
"""Seconds after which a new connection takes the place of one that ICE's restart did not bring back."""

GIVE_UP_AFTER = 10.0
"""Seconds after which it is left to the viewers to come back."""


class Stage(enum.Enum):
    """What was tried last for a viewer."""

    CHECKS = "checks"
    RESTART = "restart"
    REPLACE = "replace"


async def revive(peers: Iterable[Peer], replace: Callable[[Peer], Awaitable[None]]) -> None:
    """Try until each viewer gave a sign, or for `GIVE_UP_AFTER`.

    A check of theirs proves nothing: it may have waited for us since before they gave up.

    Args:
        peers: the viewers there were.
        replace: makes a new connection for the peer's session and offers it.
    """
    began = time.monotonic()
    stages = dict.fromkeys(peers, Stage.CHECKS)
    async with asyncio.TaskGroup() as steps:
        while stages and (waited := time.monotonic() - began) < GIVE_UP_AFTER:
            for peer, stage in tuple(stages.items()):
                if peer.state is PeerState.CLOSED or peer.connection.answered_since(began):
                    del stages[peer]
                    continue
                peer.connection.revive()
                if peer.session.socket is None:  # it is lost too: the page begins anew when it is back
                    continue
                if stage is Stage.CHECKS and waited >= RESTART_AFTER:
                    stages[peer] = Stage.RESTART
                    steps.create_task(_restart(peer))
                elif stage is Stage.RESTART and waited >= REPLACE_AFTER:
                    stages[peer] = Stage.REPLACE
                    steps.create_task(_replace(peer, replace))
            await asyncio.sleep(CHECK_INTERVAL)


async def _restart(peer: Peer) -> None:
    try:
        peer.session.send("signal/restart", {"sdp": await peer.restart()})
    except WebRTCError as error:
        log.debug("ICE was not restarted", session_id=peer.session.id, reason=str(error))


async def _replace(peer: Peer, replace: Callable[[Peer], Awaitable[None]]) -> None:
    log.info(
        "a viewer did not come back after the stop; it gets a new connection", session_id=peer.session.id
    )
    try:
        await replace(peer)
    except WebRTCError as error:
        log.info("there is no new connection", session_id=peer.session.id, reason=str(error))
