"""Reading neko's GStreamer pipelines for what they ask for, so that a warning can say it in our settings.

Nothing here runs a pipeline: the result is text for a person.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamserver.config.media_settings import PipelineSettings
from streamserver.config.types import ScreenSize

_ENCODERS = (
    ("h264", re.compile(r"\b\w*(?:x264|h264)\w*enc\w*|\bx264enc\b")),
    ("vp8", re.compile(r"\b\w*vp8enc\b")),
    ("vp9", re.compile(r"\b\w*vp9enc\b")),
    ("av1", re.compile(r"\b\w*av1enc\b")),
    ("opus", re.compile(r"\bopusenc\b")),
    ("g722", re.compile(r"\bavenc_g722\b")),
    ("pcmu", re.compile(r"\bmulawenc\b")),
    ("pcma", re.compile(r"\balawenc\b")),
)
OUR_CODECS = ("h264", "opus")
"""What our encoders can; another codec of a pipeline is not worth repeating as a setting."""
_BITS_PER_SECOND = re.compile(r"\b(?:vp8enc|vp9enc|openh264enc|opusenc|rav1enc|avenc_\w+)\b")
"""Encoders whose bitrate is in bit/s; the others count in kbit/s."""
_BITRATE = re.compile(r"\b(?:target-)?bitrate\s*=\s*(?:\([a-z0-9]+\))?\s*(\d+)")
_FRAMERATE = re.compile(r"\bframerate\s*=\s*(?:\(fraction\))?\s*(\d+)(?:/(\d+))?")
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pipeline asks for, where it could be read."""

    codec: str | None = None
    bitrate: int | None = None
    """kbit/s."""
    fps: int | None = None

    def as_settings(self, prefix: str) -> str:
        """Return our settings for it, `capture.video.bitrate: 3000, …`, or nothing."""
        codec = self.codec if self.codec in OUR_CODECS else None
        found = (("codec", codec), ("bitrate", self.bitrate), ("fps", self.fps))
        return ", ".join(f"{prefix}.{name}: {value}" for name, value in found if value is not None)


def read_pipeline(text: str) -> Wish:
    """Return what a GStreamer launch string asks for."""
    codec = next((name for name, pattern in _ENCODERS if pattern.search(text)), None)
    bitrate = _BITRATE.search(text)
    rate = _FRAMERATE.search(text)
    fps = round(int(rate[1]) / (int(rate[2] or 1) or 1)) if rate else 0
    return Wish(codec, _kilobits(int(bitrate[1]), text) if bitrate else None, fps or None)


def read_video_config(config: PipelineSettings, screen: ScreenSize) -> Wish:
    """Return what one of neko's `capture.video.pipelines` asks for, at this screen size."""
    text = f"{config.gst_prefix} {config.gst_encoder} {config.gst_suffix} {config.gst_pipeline}"
    wish = read_pipeline(text)
    bitrate = wish.bitrate
    for name in ("bitrate", "target-bitrate"):
        value = evaluate(config.gst_params.get(name), screen)
        bitrate = _kilobits(round(value), text) if value else bitrate
    if given := evaluate(config.bitrate, screen):
        bitrate = round(given)
    fps = evaluate(config.fps, screen)
    return Wish(wish.codec, bitrate, round(fps) if fps else wish.fps)


def evaluate(expression: object, screen: ScreenSize) -> float | None:
    """Return the value of neko's arithmetic over width, height, fps and round(); None where it is none."""
    if isinstance(expression, int | float) and not isinstance(expression, bool):
        return float(expression)
    if not isinstance(expression, str):
        return None
    names = {"width": screen.width, "height": screen.height, "fps": screen.rate}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)  # "1and 2": Python would say so on the terminal
            return _value(ast.parse(expression.strip(), mode="eval").body, names)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None


def is_arithmetic(expression: object) -> bool:
    """Whether it can be evaluated, or is not given."""
    return expression is None or evaluate(expression, ScreenSize(1280, 720, 30)) is not None


def _value(node: ast.expr, names: Mapping[str, int]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in names:
            return float(names[name])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.Call(func=ast.Name(id="round"), args=[argument], keywords=[]):
            return float(round(_value(argument, names)))
        case _:
            raise ValueError("not arithmetic")


def _kilobits(bitrate: int, pipeline: str) -> int:
    return max(1, round(bitrate / 1000)) if _BITS_PER_SECOND.search(pipeline) else bitrate
