from __future__ import annotations

import pytest
from pydantic import ValidationError

from streamserver.webrtc.signaling import IceServer, VideoRequest, VideoSelector, VideoStatus, select_video

IDS = ["hd", "sd", "low"]
BITRATES = {"hd": 2_500_000, "sd": 1_000_000, "low": 400_000, "legacy": 3_000_000}


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
        (VideoSelector(id="legacy"), "legacy"),
        (VideoSelector(type="nearest", id="legacy"), "legacy"),
        (VideoSelector(type="lower", id="legacy"), None),
        (VideoSelector(bitrate=1_000_000), "sd"),
        (VideoSelector(bitrate=999_999), None),
        (VideoSelector(type="nearest", bitrate=999_999), "sd"),
        (VideoSelector(type="nearest", bitrate=9_000_000), "hd"),
        (VideoSelector(type="nearest", bitrate=1), "low"),
        (VideoSelector(type="lower", bitrate=2_500_000), "low"),
        (VideoSelector(type="lower", bitrate=400_000), None),
        (VideoSelector(type="higher", bitrate=400_000), "hd"),
        (VideoSelector(type="higher", bitrate=2_500_000), None),
        (VideoSelector(type="lower"), "hd"),
    ],
)
def test_choosing_a_stream(selector: VideoSelector | None, chosen: str | None) -> None:
    assert select_video(IDS, BITRATES, selector) == chosen


def test_there_may_be_no_stream() -> None:
    assert select_video([], {}, None) is None


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
        "paused": False,
    }
    assert IceServer(urls=["stun:a"]).model_dump(exclude_none=True) == {"urls": ["stun:a"]}
