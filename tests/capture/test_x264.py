import ctypes

import av
import numpy as np
import pytest
from av.packet import Packet

from streamserver.capture.errors import CaptureError
from streamserver.capture.rows import Rows
from streamserver.capture.x264 import PROFILE_LEVEL_ID, SETTLED_PSNR, EncodedPicture, H264Encoder
from streamserver.capture.yuv import BYTES_PER_PIXEL, convert_rows
from tests.capture.viewer import mean_error, rgb
from tests.capture.x_screen import Card


def units(data: bytes) -> list[int]:
    """NAL unit types of an Annex-B access unit."""
    return [part[0] & 31 for part in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]]


def encode(encoder: H264Encoder, card: Card, *, keyframe: bool = False) -> EncodedPicture:
    height, width = card.shape[:2]
    pixels = np.zeros((height, width, BYTES_PER_PIXEL), np.uint8)
    pixels[:, :, 2::-1] = card
    source = ctypes.create_string_buffer(pixels.tobytes())
    convert_rows(
        ctypes.addressof(source), width * BYTES_PER_PIXEL, encoder.writable_picture(), Rows(0, height & ~1)
    )
    return encoder.encode(keyframe=keyframe)


def noise(seed: int, width: int, height: int, block: int = 16) -> Card:
    cells = np.random.default_rng(seed).integers(
        0, 256, (-(-height // block), -(-width // block), 3), np.uint8
    )
    return np.repeat(np.repeat(cells, block, 0), block, 1)[:height, :width]


def test_every_picture_comes_out_at_once_and_only_asked_for_ones_are_key_frames() -> None:
    encoder = H264Encoder(320, 240, 30, 2500)
    pictures = [encode(encoder, noise(n, 320, 240), keyframe=n == 5) for n in range(10)]
    assert [picture.keyframe for picture in pictures] == [n in (0, 5) for n in range(10)]


def test_a_key_frame_carries_its_headers_in_one_slice_without_delimiter() -> None:
    encoder = H264Encoder(320, 240, 30, 2500)
    first = units(encode(encoder, noise(1, 320, 240)).data)
    delta = units(encode(encoder, noise(2, 320, 240)).data)
    again = units(encode(encoder, noise(3, 320, 240), keyframe=True).data)
    assert [unit for unit in first if unit != 6] == [7, 8, 5]  # 6 is x264's signature, once
    assert delta == [1]
    assert again == [7, 8, 5]


@pytest.mark.parametrize(("size", "level"), [((1280, 720), 31), ((1920, 1080), 40), ((3840, 2160), 51)])
def test_the_headers_say_constrained_baseline_and_a_level_that_fits(
    size: tuple[int, int], level: int
) -> None:
    data = H264Encoder(*size, 30, 2500).encode(keyframe=True).data
    sequence = data[data.index(b"\0\0\0\1\x67") + 4 :]
    profile, constraints = sequence[1], sequence[2]
    assert profile == int(PROFILE_LEVEL_ID[:2], 16)
    assert constraints & 0x40  # constraint_set1: a constrained-baseline decoder can play it
    assert sequence[3] == level


def test_colours_survive_the_way_there_and_back() -> None:
    encoder = H264Encoder(322, 246, 30, 20_000)
    card = noise(7, 322, 246)
    data = encode(encoder, card).data
    decoder = av.CodecContext.create("h264", "r")
    (picture,) = [*decoder.decode(Packet(data)), *decoder.decode(None)]
    assert mean_error(rgb(picture), card) < 4


def test_the_picture_is_reused_because_the_encoder_keeps_no_reference() -> None:
    encoder = H264Encoder(320, 240, 30, 2500)
    addresses = set()
    for n in range(30):
        encode(encoder, noise(n, 320, 240), keyframe=n % 7 == 0)
        addresses |= {plane.buffer_ptr for plane in encoder.writable_picture().planes}
    assert len(addresses) == 3


def test_a_picture_the_rate_did_not_allow_is_refined_when_it_rests() -> None:
    encoder = H264Encoder(640, 480, 30, 400)
    for n in range(30):
        moving = encode(encoder, noise(n, 640, 480, 8))
    assert moving.psnr < SETTLED_PSNR
    still = [encoder.encode(keyframe=False) for _ in range(30)]
    assert still[-1].psnr >= SETTLED_PSNR
    assert sum(len(picture.data) for picture in still[:15]) * 8 < 400_000


def test_a_small_change_of_a_settled_picture_takes_few_bytes() -> None:
    encoder = H264Encoder(640, 480, 30, 2500)
    card = np.full((480, 640, 3), 255, np.uint8)
    glyphs = np.random.default_rng(1).random((24, 560)) < 0.3
    for line in range(24):  # something like text
        card[line * 20 : line * 20 + 10, 40:600][np.tile(glyphs[line], (10, 1))] = 32
    for _ in range(30):
        encode(encoder, card)
    sizes = []
    for step in range(20):
        card[100:110, 100 + step * 6 : 106 + step * 6] = 32
        sizes.append(len(encode(encoder, card).data))
    assert sum(sizes) / len(sizes) < 200


def test_motion_keeps_to_the_bit_rate() -> None:
    encoder = H264Encoder(640, 480, 30, 1000)
    sizes = [len(encode(encoder, np.roll(noise(1, 640, 480, 4), n * 7, 1)).data) for n in range(120)]
    assert sum(sizes[30:]) * 8 / 3 < 1_150_000


def test_a_size_it_cannot_encode_is_refused_with_a_sentence() -> None:
    with pytest.raises(CaptureError, match="321x240"):
        H264Encoder(321, 240, 30, 2500)
