"""What a receiver made with aiortc gets: its tracks, read as long as they last."""

import asyncio
from dataclasses import dataclass, field

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack


@dataclass(eq=False, kw_only=True)
class ReceivedMedia:
    """Keeps pictures, counts packets of sound."""

    pictures: list[av.VideoFrame] = field(default_factory=list)
    sounds: int = 0
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    def take(self, track: MediaStreamTrack) -> None:
        """Begin to read a track."""
        self._readers.append(asyncio.create_task(self._read(track)))

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, av.VideoFrame):
                self.pictures.append(frame)
            else:
                self.sounds += 1

    async def stop_reading(self) -> None:
        """Read no more."""
        for reader in self._readers:
            reader.cancel()
        if self._readers:
            await asyncio.wait(self._readers)
