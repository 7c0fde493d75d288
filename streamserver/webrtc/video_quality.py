"""Which quality of the picture one viewer gets: what the viewer chose, or what its network can take."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamserver.logs import get_logger

from .congestion import RungChooser
from .errors import SignalError
from .frame_sender import FrameSender
from .signaling import VideoRequest, VideoSelector, VideoStatus, select_video
from .surroundings import CaptureLike

log = get_logger("webrtc")

LEAST_INTERVAL = 0.05
"""Seconds between two looks at the network: reports can come faster."""


class VideoQuality:
    """Puts a sender on one of capture's streams.

    `follows_network`: whether `auto` can be had. `changed(status)` is called when the network made it another
    one, or a pause.
    """

    def __init__(
        self,
        capture: CaptureLike,
        request: VideoRequest,
        *,
        follows_network: bool,
        changed: Callable[[VideoStatus], None],
    ) -> None:
        """Raises `SignalError`: there is no such stream."""
        self._capture = capture
        self._follows_network = follows_network
        self._changed = changed
        self._sender: FrameSender | None = None
        self._looked_at = float("-inf")
        self._overflows = 0
        self.video_id = self._select(request.selector)
        self._auto = follows_network and (request.selector is None if request.auto is None else request.auto)
        self._chooser = self._new_chooser()

    def attach(self, sender: FrameSender) -> None:
        """Steer this sender, whose stream is the chosen one."""
        self._sender = sender
        sender.reported = self.look

    @property
    def status(self) -> VideoStatus:
        """What the viewer gets."""
        flow = self._flow_sender.flow
        return VideoStatus(
            disabled=flow.disabled,
            id=self.video_id,
            video=self.video_id,
            auto=self._auto,
            paused=flow.held,
        )

    def request(self, request: VideoRequest) -> None:
        """Do what the viewer wants. Who chooses a quality does not want another one: `auto` ends unless it is
        asked for along with it. What there is not changes nothing.
        """
        flow = self._flow_sender.flow
        auto = request.auto
        if request.selector is not None:
            try:
                chosen = self._select(request.selector)
            except SignalError:
                chosen = None
            if chosen is not None:
                self._put_on(chosen)
                auto = bool(auto)
                if self._place is not None:
                    self._chooser.start_at(self._place, time.monotonic())
        if auto is not None and (auto and self._follows_network) != self._auto:
            self._auto = auto and self._follows_network
            self._chooser = self._new_chooser()
            if not self._auto:
                flow.set_held(False)
                self._flow_sender.pacer.rate = None
        if request.disabled is not None:
            flow.set_disabled(request.disabled)

    def look(self) -> None:
        """Judge the network by what is known now; called at each report, and once a second."""
        now = time.monotonic()
        sender = self._flow_sender
        flow = sender.flow
        if not self._auto or not (flow.flowing or flow.held):
            return
        if now - self._looked_at < LEAST_INTERVAL and sender.overflows == self._overflows:
            return
        self._looked_at, self._overflows = now, sender.overflows
        decision = self._chooser.update(now, sender.observe())
        sender.pacer.rate = decision.pace
        if decision.train and not sender.send_train(decision.train):
            self._chooser.train_impossible(now)
        held = decision.rung is None
        chosen = self.video_id if decision.rung is None else self._capture.video_ids[decision.rung]
        if chosen == self.video_id and held == flow.held:  # nearly always
            return
        videos = self._capture.videos
        self._put_on(chosen, at_once=videos[chosen].bitrate < videos[self.video_id].bitrate)
        flow.set_held(held)
        self._changed(self.status)

    @property
    def _flow_sender(self) -> FrameSender:
        assert self._sender is not None, "attached where it is made"
        return self._sender

    @property
    def _place(self) -> int | None:
        """Where among the qualities to choose among it is; None when it is had by name only."""
        ids = list(self._capture.video_ids)
        return ids.index(self.video_id) if self.video_id in ids else None

    def _new_chooser(self) -> RungChooser:
        videos = self._capture.videos
        bitrates = [videos[name].bitrate for name in self._capture.video_ids]
        return RungChooser(bitrates, self._place or 0)

    def _put_on(self, name: str, *, at_once: bool = False) -> None:
        self.video_id = name
        self._flow_sender.flow.set_stream(self._capture.videos[name], at_once=at_once)

    def _select(self, selector: VideoSelector | None) -> str:
        videos = self._capture.videos
        bitrates = {name: stream.bitrate for name, stream in videos.items()}
        chosen = select_video(self._capture.video_ids, bitrates, selector)
        if chosen is None:
            named = selector.id if selector else ""
            raise SignalError(f"there is no video stream {named!r}; there is {', '.join(videos) or 'none'}")
        return chosen
