"""A broadcast to a real RTMP server (nginx with its RTMP module), watched by a player."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from streamserver.capture import broadcast as broadcast_module
from streamserver.capture.broadcast import Broadcast, BroadcastStatus, check_url
from streamserver.capture.capture import Capture
from streamserver.capture.errors import BroadcastError
from streamserver.capture.flv import parameter_sets
from streamserver.config.media_settings import CaptureSettings
from tests.capture.sound_server import RATE, Sound, sound_server
from tests.capture.x_screen import XScreen
from tests.waiting import until, wait_until

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


class RtmpServer:
    """nginx on a free loopback port."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "nginx.conf").write_text(
            f"load_module {MODULE};\ndaemon off;\nmaster_process off;\npid {directory}/pid;\n"
            f"error_log {directory}/error.log;\nevents {{}}\n"
            f"rtmp {{ server {{ listen 127.0.0.1:{self.port}; application live {{ live on; }} }} }}\n"
        )

    @property
    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self.port}/live/secret-key"

    def start(self) -> None:
        command = ["nginx", "-c", str(self._directory / "nginx.conf"), "-p", str(self._directory)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self._listens, within=10, what="nginx listens")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def rtmp() -> Iterator[RtmpServer]:
    if shutil.which("nginx") is None or not MODULE.exists():
        pytest.skip("missing: nginx with libnginx-mod-rtmp (scripts/setup installs them)")
    directory = Path(tempfile.mkdtemp(prefix="catnap-rtmp-"))
    server = RtmpServer(directory)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def sound() -> Iterator[Sound]:
    with sound_server() as running:
        yield running


@pytest.fixture
async def capture(screen: XScreen, sound: Sound) -> AsyncIterator[Capture]:
    made = Capture(CaptureSettings(), screen.display, sound, CollectorRegistry())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def broadcast(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broadcast]:
    monkeypatch.setattr(broadcast_module, "KEYFRAME_EVERY", 0.5)
    monkeypatch.setattr(broadcast_module, "FIRST_RETRY", 0.1)
    made = Broadcast(capture.videos["main"], capture.audio)
    yield made
    await made.stop()
    await until(
        lambda: not [thread for thread in threading.enumerate() if thread.name == "broadcast"],
        within=15, what="the sender has ended",
    )  # fmt: skip


Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def watch(url: str, pictures: int, seconds: float) -> tuple[Picture, float]:
    """Play so many pictures and seconds of sound; return the last picture and how loud it was."""
    with av.open(url, timeout=15) as player:
        assert {stream.codec_context.name for stream in player.streams} == {"h264", "aac"}
        shown, heard, loudest = 0, 0.0, 0.0
        last: Picture = np.zeros((1, 1, 3), np.uint8)
        for frame in player.decode():
            picture: object = frame
            if isinstance(picture, av.VideoFrame):
                shown += 1
                last = picture.to_ndarray(format="rgb24").astype(np.uint8)
            elif isinstance(picture, av.AudioFrame):
                heard += picture.samples / picture.sample_rate
                loudest = max(loudest, float(np.abs(picture.to_ndarray()).max()))
            if shown >= pictures and heard >= seconds:
                return last, loudest
    raise AssertionError("the stream ended")


async def test_a_player_sees_the_screen_and_hears_the_browser(
    screen: XScreen, sound: Sound, rtmp: RtmpServer, broadcast: Broadcast
) -> None:
    told: list[BroadcastStatus] = []
    broadcast.on_changed.subscribe(told.append)
    screen.fill(0, 0, screen.width, screen.height, 0x2060C0)
    await broadcast.start(rtmp.url)
    times = np.arange(RATE * 6) / RATE
    tone = (np.sin(2 * np.pi * 440 * times) * 20_000).astype(np.int16)
    sound.play(np.stack([tone, tone], 1))
    picture, loudest = await asyncio.to_thread(watch, rtmp.url, 4, 2.0)
    assert np.abs(picture.reshape(-1, 3).mean(0) - (0x20, 0x60, 0xC0)).max() < 6
    assert loudest > 0.2
    with pytest.raises(BroadcastError, match="already broadcasting"):
        await broadcast.start(rtmp.url)
    assert await broadcast.stop()
    assert not await broadcast.stop()
    assert told == [BroadcastStatus(True, rtmp.url), BroadcastStatus(False, rtmp.url)]


async def test_a_new_size_and_a_server_that_was_away_are_survived(
    screen: XScreen, rtmp: RtmpServer, broadcast: Broadcast
) -> None:
    rtmp.stop()
    with pytest.raises(BroadcastError) as refused:
        await broadcast.start(rtmp.url)
    assert "secret-key" not in str(refused.value)
    assert broadcast.status == BroadcastStatus(False, "")
    await broadcast.start(rtmp.url, insist=True)
    assert broadcast.status == BroadcastStatus(True, rtmp.url)
    rtmp.start()
    screen.resize(800, 608)
    async with asyncio.timeout(30):
        while True:
            try:
                picture, _ = await asyncio.to_thread(watch, rtmp.url, 2, 0.0)
            except (av.FFmpegError, AssertionError):
                continue
            if picture.shape[:2] == (608, 800):
                break


@pytest.mark.parametrize(
    "url",
    ["", "/etc/passwd", "file:///tmp/x.flv", "http://a/b", "rtmp://", "rtmp://a b/c", "rtmp://a:0/b", "rtmp://[/b",
     "rtmp://a/" + "x" * 3000, "rtmp://a/\n"],
)  # fmt: skip
async def test_only_rtmp_servers_are_sent_to(url: str) -> None:
    with pytest.raises(BroadcastError, match="rtmp://"):
        check_url(url)


@given(st.binary(max_size=200))
def test_headers_are_found_in_any_bytes(data: bytes) -> None:
    parameter_sets(data)
    unit = b"\x67\x42" + data.replace(b"\0", b"\1")
    assert parameter_sets(b"\0\0\0\1" + unit + b"\0\0\1\x65\x88") == b"\0\0\0\1" + unit
