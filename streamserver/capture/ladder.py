"""The qualities of one picture, best first: what each encodes at the screen's present size. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamserver.config.gstreamer import evaluate, read_video_config
from streamserver.config.media_settings import PipelineSettings, VideoSettings
from streamserver.config.types import ScreenSize

MAIN, MEDIUM, LOW = "main", "medium", "low"
"""Ids of the ladder when none is configured; `main` is the one with `capture.video`'s figures."""

LEGACY = "legacy"
"""Id that clients of neko's version 2 ask for; they are not sent the pointer, so it is drawn."""

_LESSER = ((MEDIUM, 1000), (LOW, 400))
"""The lower rungs of that ladder and their bitrates, kbit/s; both at half the frame rate."""

_LEAST_SIDE = 16
"""px; x264's macroblock."""

_LEAST_BITRATE = 50
"""kbit/s."""

NOMINAL = (1280, 720)
"""px: the size for which bitrates are computed before a screen was seen."""


_WHOLE = PipelineSettings()
"""Leaves everything as it is."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """What one encoder makes: even size in px, `fps` at most, `bitrate` in kbit/s at most."""

    width: int
    height: int
    fps: float
    bitrate: int


@dataclass(frozen=True, slots=True)
class Rung:
    """One quality: its name and what it is to be, in neko's arithmetic (`PipelineSettings`).

    `fps` and `bitrate` (kbit/s) are those of `capture.video`, for what the pipeline leaves out; `fps` is also
    the variable of that name in expressions.
    """

    id: str
    fps: int
    bitrate: int
    pipeline: PipelineSettings = _WHOLE

    @property
    def show_pointer(self) -> bool:
        """Whether the pointer is drawn into it."""
        return self.pipeline.show_pointer

    def at(self, width: int, height: int) -> Encoding:
        """Return what to encode of a screen of this size (px). A picture is never larger than the screen.

        With one side given the other follows, so that nothing is distorted.
        """
        screen = ScreenSize(width, height, self.fps)
        wide, high = evaluate(self.pipeline.width, screen), evaluate(self.pipeline.height, screen)
        if wide is None:
            wide = width * high / height if high is not None else width
        if high is None:
            high = height * wide / width
        wish = read_video_config(self.pipeline, screen)
        rate = evaluate(self.pipeline.fps, screen) or wish.fps or self.fps
        return Encoding(
            _side(wide, width),
            _side(high, height),
            min(max(rate, 1.0), 120.0),
            max(wish.bitrate or self.bitrate, _LEAST_BITRATE),
        )


@dataclass(frozen=True, slots=True)
class Ladder:
    """`rungs`: every quality there is, by id. `order`: those to choose among, best first; the others are had
    by name only.
    """

    rungs: Mapping[str, Rung]
    order: tuple[str, ...]


def build_ladder(video: VideoSettings) -> Ladder:
    """Return the qualities that the settings ask for, or three: full, 1.0 and 0.4 Mbit/s at half rate.

    Of these only what is less than `capture.video.bitrate`. Where no pipeline is named `legacy`, that is the
    best one with the pointer in it, had by name only. Names in `capture.video.ids` that no pipeline has
    are left out; the settings' loader warns about them.
    """
    pipelines = dict(video.pipelines) or _default_pipelines(video)
    rungs = {name: Rung(name, video.fps, video.bitrate, pipeline) for name, pipeline in pipelines.items()}
    order = tuple(name for name in dict.fromkeys(video.ids) if name in rungs) or tuple(rungs)
    if LEGACY not in rungs:
        pointed = rungs[order[0]].pipeline.model_copy(update={"show_pointer": True})
        rungs[LEGACY] = Rung(LEGACY, video.fps, video.bitrate, pointed)
    return Ladder({name: rungs[name] for name in (*order, *rungs)}, order)


def _default_pipelines(video: VideoSettings) -> dict[str, PipelineSettings]:
    pipelines = {MAIN: PipelineSettings()}
    for name, bitrate in _LESSER:
        if bitrate < video.bitrate:
            pipelines[name] = PipelineSettings(fps="fps/2", bitrate=bitrate)
    return pipelines


def _side(wanted: float, most: int) -> int:
    return int(min(max(wanted, _LEAST_SIDE), most)) & ~1
