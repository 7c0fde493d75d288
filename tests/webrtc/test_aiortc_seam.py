"""Fails loudly when aiortc is another one than we reach into."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
from pathlib import Path

import aiortc
import pytest
from aiortc import RTCPeerConnection, RTCRtpSender
from aiortc.rtcicetransport import RTCIceGatherer, RTCIceTransport

from streamserver.webrtc import aiortc_seam
from streamserver.webrtc.ice_lite import LiteConnection

ROOT = Path(aiortc_seam.__file__).parent


async def test_this_aiortc_has_every_part_we_take_hold_of() -> None:
    aiortc_seam.verify()


async def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiortc, "__version__", "1.17.0")
    with pytest.raises(aiortc_seam.SeamError, match=r"aiortc 1\.17\.0 is installed; catnap needs 1\.16\.0"):
        aiortc_seam.verify()


async def test_a_libsrtp_that_is_hidden_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiortc_seam, "lib", object())
    with pytest.raises(aiortc_seam.SeamError, match=r"lacks object\.srtp_protect"):
        aiortc_seam.verify()


async def test_a_part_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RTCRtpSender, "_handle_rtcp_packet")
    with pytest.raises(aiortc_seam.SeamError, match=r"lacks RTCRtpSender\._handle_rtcp_packet"):
        aiortc_seam.verify()


def test_the_version_is_pinned() -> None:
    assert importlib.metadata.version("aiortc") == aiortc_seam.AIORTC_VERSION
    pyproject = (ROOT.parent.parent / "pyproject.toml").read_text()
    assert f'"aiortc=={aiortc_seam.AIORTC_VERSION}"' in pyproject


def test_ice_calls_nothing_on_its_connection_that_ours_lacks() -> None:
    source = inspect.getsource(RTCIceTransport) + inspect.getsource(RTCIceGatherer)
    source += inspect.getsource(RTCPeerConnection)
    used = set(re.findall(r"_connection\.(\w+)", source))
    ours = inspect.getsource(LiteConnection)
    assert used
    assert [name for name in sorted(used) if name not in ours] == []


def test_private_parts_of_aiortc_are_touched_in_the_seam_alone() -> None:
    """A transceiver's, sender's or transport's underscore outside the seam would escape its check."""
    private = re.compile(
        r"\b(?:pc|_pc|dtls|_dtls|sender|receiver|transceiver|transport|sctp|gatherer)\._[a-z]"
    )
    for path in ROOT.glob("*.py"):
        if path.name != "aiortc_seam.py":
            assert not private.search(path.read_text()), path
