from __future__ import annotations

import pytest
from pydantic import ValidationError

from streamserver.webrtc.signaling import IceServer, VideoRequest, VideoSelector, VideoStatus, select_video

IDS = ["hd", "sd", "low"]


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        (None, "hd"),
        (VideoSelector(), "hd"),
        (VideoSelector(id="sd"), "sd"),
        (VideoSelector(type="", id="low"), "low"),
        (VideoSelector(type="nearest", id="sd"), "sd"),
        (VideoSelector(type="lower", id="hd"), "sd"),
        (VideoSelector(type="lower", id="low"), None),
        (VideoSelector(type="higher", id="low"), "sd"),
        (VideoSelector(type="higher", id="hd"), None),
        (VideoSelector(id="none"), None),
        (VideoSelector(bitrate=1_000_000), "hd"),
    ],
)
def test_choosing_a_stream(selector: VideoSelector | None, chosen: str | None) -> None:
    assert select_video(IDS, selector) == chosen


def test_there_may_be_no_stream() -> None:
    assert select_video([], None) is None


def test_requests_as_clients_send_them() -> None:
    request = VideoRequest.model_validate(
        {"disabled": True, "selector": {"id": "sd", "type": "lower"}, "auto": True, "new": 1}
    )
    assert request.disabled
    assert request.selector == VideoSelector(type="lower", id="sd")
    with pytest.raises(ValidationError):
        VideoRequest.model_validate({"selector": {"type": "best"}})


def test_the_shapes_viewers_are_told() -> None:
    assert VideoStatus(disabled=False, id="hd", video="hd").model_dump() == {
        "disabled": False,
        "id": "hd",
        "video": "hd",
        "auto": False,
    }
    assert IceServer(urls=["stun:a"]).model_dump(exclude_none=True) == {"urls": ["stun:a"]}
