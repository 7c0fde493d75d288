"""Whose microphone the shared browser hears: one viewer at a time, who spoke up last (as neko)."""

from __future__ import annotations

from typing import Protocol

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from streamserver.logs import get_logger
from streamserver.sessions.model import Session

from .one_at_a_time import OneAtATime

log = get_logger("webrtc")


class VoiceLike(Protocol):
    """Somebody who speaks; `streamserver.desktop.microphone.Voice`."""

    def write(self, samples: bytes, /) -> None:
        """Say something: 16-bit samples, 48 kHz, two channels. Never waits."""

    async def close(self) -> None:
        """Fall silent."""


class MicrophoneLike(Protocol):
    """The browser's microphone; `streamserver.desktop.microphone.Microphone`."""

    async def open(self) -> VoiceLike:
        """Begin to speak. Raises when it cannot."""


class VoiceSlot:
    """Passes the speaking viewer's sound on. Used on the event loop."""

    def __init__(self, microphone: MicrophoneLike | None) -> None:
        """None: nobody is heard."""
        self._microphone = microphone
        self._tasks = OneAtATime()

    @property
    def is_there(self) -> bool:
        """Whether anybody can be heard."""
        return self._microphone is not None

    def may_speak(self, session: Session) -> bool:
        """Whether this viewer's sound is wanted."""
        return self._microphone is not None and session.profile.can_share_media

    def take(self, session: Session, track: MediaStreamTrack) -> None:
        """Listen to this viewer, and no more to the one before."""
        if self._microphone is None or not self.may_speak(session):
            return
        self._tasks.start(self._listen(self._microphone, session, track), "voice")

    async def close(self) -> None:
        """Listen to nobody any more."""
        await self._tasks.close()

    async def _listen(self, microphone: MicrophoneLike, session: Session, track: MediaStreamTrack) -> None:
        try:
            voice = await microphone.open()
        except Exception as error:  # noqa: BLE001 - whatever the desktop raises: nobody is heard
            log.warning("a viewer cannot be heard", session_id=session.id, error=str(error))
            return
        log.info("a viewer speaks", session_id=session.id)
        try:
            while self.may_speak(session):
                frame = await track.recv()
                if isinstance(frame, AudioFrame):
                    voice.write(bytes(frame.planes[0])[: frame.samples * 4])
        except MediaStreamError:
            log.debug("a viewer speaks no more", session_id=session.id)
        finally:
            await voice.close()
