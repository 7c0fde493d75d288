"""Video4Linux devices that take pictures: the two requests of linux/videodev2.h that we need."""

import errno
import fcntl
import os
import struct
from pathlib import Path

from streamserver.desktop.errors import DesktopError

QUERYCAP = 0x80685600
"""VIDIOC_QUERYCAP: _IOR('V', 0, struct v4l2_capability)."""
S_FMT = 0xC0D05605
"""VIDIOC_S_FMT: _IOWR('V', 5, struct v4l2_format)."""
CAPABILITY = struct.Struct("=16s32s32sIII12x")
"""struct v4l2_capability: driver, card, bus, version, capabilities, device_caps, reserved."""
FORMAT = struct.Struct("=I4x12I152x")
"""struct v4l2_format with a v4l2_pix_format in it, on 64 bit machines: type, then width, height, pixelformat,
field, bytesperline, sizeimage, colorspace, priv, flags, ycbcr_enc, quantization, xfer_func."""

YUV420 = 0x32315559
"""V4L2_PIX_FMT_YUV420 ('YU12'): planes Y, U, V without padding, 12 bits for each pixel."""
_OUTPUT_BUFFER = 2
_OUTPUT = 0x2
_DEVICE_CAPS = 0x80000000
_FIELD_NONE = 1
_COLORSPACE_SMPTE170M = 1

HOW_TO = "load the kernel's v4l2loopback (modprobe v4l2loopback exclusive_caps=1)"
"""What to do about a device that is not there."""


def why_not(device: Path) -> str:
    """Return why this is no device that takes pictures; empty when it is one."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return f"there is no {device}: {HOW_TO}"
    except OSError as error:
        return f"{device} cannot be opened: {error.strerror}"
    try:
        answer = fcntl.ioctl(descriptor, QUERYCAP, bytes(CAPABILITY.size))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return f"{device} is no Video4Linux device: {HOW_TO}"
        return f"{device} does not answer: {error.strerror}"
    finally:
        os.close(descriptor)
    _driver, card, _bus, _version, all_caps, own_caps = CAPABILITY.unpack(answer)
    if not (own_caps if all_caps & _DEVICE_CAPS else all_caps) & _OUTPUT:
        name = card.split(b"\0")[0].decode("utf-8", "replace")
        return (
            f"{device} ({name}) takes no pictures: name the device of v4l2loopback in capture.webcam.device"
        )
    return ""


def open_output(device: Path, width: int, height: int) -> int:
    """Open the device for pictures of this size, planar YUV 4:2:0; return its descriptor, which never waits.

    Raises:
        DesktopError: it cannot be opened, or refuses the size; somebody else may be writing to it.
    """
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DesktopError(f"{device} cannot be opened: {error.strerror}") from error
    wanted = FORMAT.pack(
        _OUTPUT_BUFFER, width, height, YUV420, _FIELD_NONE, width, width * height * 3 // 2,
        _COLORSPACE_SMPTE170M, 0, 0, 0, 0, 0,
    )  # fmt: skip
    try:
        got = FORMAT.unpack(fcntl.ioctl(descriptor, S_FMT, wanted))
    except OSError as error:
        os.close(descriptor)
        raise DesktopError(f"{device} takes no {width}x{height} pictures: {error.strerror}") from error
    if got[1:4] != (width, height, YUV420):
        os.close(descriptor)
        raise DesktopError(
            f"{device} would take {got[1]}x{got[2]} pictures of another kind; free it, or set its size"
        )
    return descriptor
