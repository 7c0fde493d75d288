"""A real encoder in simulated time."""

import random

import pytest
from av.video.frame import VideoFrame

from streamserver.capture.ladder import Encoding
from streamserver.capture.rung_encoder import RungEncoder

WIDTH, HEIGHT, BITRATE = 320, 240, 400
START = 1000.0


class Film:
    """Noise that jumps about, and what an encoder made of it: time, bytes, key frame."""

    def __init__(self, fps: float) -> None:
        self.picture = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        self.rung = RungEncoder(Encoding(WIDTH, HEIGHT, fps, BITRATE))
        self.encoded: list[tuple[float, int, bool]] = []
        for plane in self.picture.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        self._chance = random.Random(1)
        self._noise = self._chance.randbytes(4096) * 32

    def run(self, pictures_a_second: float, begin: float, end: float) -> None:
        """Show it at that pace, and encode whatever is due."""
        now = begin
        for number in range(1, round((end - begin) * pictures_a_second) + 1):
            luma, place = self.picture.planes[0], self._chance.randrange(4096)
            luma.update(self._noise[place : place + luma.buffer_size])
            self.rung.picture_changed(1.0)
            following = begin + number / pictures_a_second
            while now < following:
                step = self.rung.schedule.next(now)
                if not step.encode:
                    now = min(following, now + (step.wait or 1.0))
                elif encoded := self.rung.encode(self.picture, now):
                    self.encoded.append((now, len(encoded.data), encoded.keyframe))

    def bits_a_second(self, begin: float, end: float) -> float:
        """Return what was made of that time."""
        return sum(size for at, size, _ in self.encoded if begin <= at < end) * 8 / (end - begin)

    def keyframes(self, begin: float, end: float) -> int:
        """Return how many there were."""
        return sum(keyframe for at, _, keyframe in self.encoded if begin <= at < end)


@pytest.mark.parametrize(("allowed", "shown"), [(30, 24), (60, 24), (60, 10)])
def test_a_film_slower_than_what_is_allowed_uses_the_link_without_key_frames(
    allowed: int, shown: int
) -> None:
    film = Film(allowed)
    film.run(shown, START, START + 12)
    assert film.keyframes(START + 4, START + 12) <= 1
    assert film.bits_a_second(START + 4, START + 12) == pytest.approx(BITRATE * 1000, rel=0.12)


def test_a_film_that_becomes_faster_keeps_to_the_bit_rate() -> None:
    film = Film(60)
    film.run(15, START, START + 6)
    film.run(60, START + 6, START + 12)
    for second in range(6, 12):
        assert film.bits_a_second(START + second, START + second + 1) < BITRATE * 1000 * 1.5
    assert film.bits_a_second(START + 8, START + 12) == pytest.approx(BITRATE * 1000, rel=0.12)
    assert film.keyframes(START + 8, START + 12) <= 1
