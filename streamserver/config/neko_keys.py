"""neko's settings that are accepted but do nothing yet, and where neko v2's names went.

A configuration written for neko shall start here with warnings, not with errors.
"""

from streamserver.config.options import env_name

NOT_YET: dict[str, str] = {
    "log.time": "console times are 3:04PM, JSON times RFC 3339",
    "log.dir": "the log goes to the standard output",
    "server.pprof": "",
    "desktop.input.socket": "touches go through the browser's DevTools",
    "desktop.unminimize": "the browser's window is kept maximised",
    "capture.broadcast.video_bitrate": "the video is that of viewers, not encoded again",
    "capture.broadcast.preset": "the video is that of viewers, not encoded again",
    "capture.broadcast.pipeline": "the video is that of viewers, not encoded again",
    "capture.screencast.pipeline": "its pictures are those of the video, as JPEG",
    "webrtc.estimator.debug": "",
    "webrtc.estimator.initial_bitrate": "",
    "webrtc.estimator.read_interval": "",
    "webrtc.estimator.stable_duration": "",
    "webrtc.estimator.unstable_duration": "",
    "webrtc.estimator.stalled_duration": "",
    "webrtc.estimator.downgrade_backoff": "",
    "webrtc.estimator.upgrade_backoff": "",
    "webrtc.estimator.diff_threshold": "",
}
"""neko v3 keys without effect, with what holds in their place where there is something to say."""

V2_NAMES: dict[str, str] = {
    "NEKO_LOGS": "",
    "NEKO_BIND": "server.bind",
    "NEKO_CERT": "server.cert",
    "NEKO_KEY": "server.key",
    "NEKO_PROXY": "server.proxy",
    "NEKO_STATIC": "server.static",
    "NEKO_PATH_PREFIX": "server.path_prefix",
    "NEKO_CORS": "server.cors",
    "NEKO_LOCKS": "session.locked_logins and session.locked_controls",
    "NEKO_CONTROL_PROTECTION": "session.control_protection",
    "NEKO_IMPLICIT_CONTROL": "session.implicit_hosting",
    "NEKO_HEARTBEAT_INTERVAL": "session.heartbeat_interval",
    "NEKO_PASSWORD": "member.multiuser.user_password",
    "NEKO_PASSWORD_ADMIN": "member.multiuser.admin_password",
    "NEKO_SCREEN": "desktop.screen",
    "NEKO_DISPLAY": "desktop.display",
    "NEKO_VIDEO_CODEC": "capture.video.codec",
    "NEKO_VP8": "capture.video.codec",
    "NEKO_VP9": "capture.video.codec",
    "NEKO_AV1": "capture.video.codec",
    "NEKO_H264": "capture.video.codec",
    "NEKO_HWENC": "",
    "NEKO_VIDEO_BITRATE": "capture.video.bitrate",
    "NEKO_MAX_FPS": "capture.video.fps",
    "NEKO_VIDEO": "capture.video.bitrate and capture.video.fps",
    "NEKO_DEVICE": "capture.audio.device",
    "NEKO_AUDIO_CODEC": "capture.audio.codec",
    "NEKO_OPUS": "capture.audio.codec",
    "NEKO_G722": "capture.audio.codec",
    "NEKO_PCMU": "capture.audio.codec",
    "NEKO_PCMA": "capture.audio.codec",
    "NEKO_AUDIO_BITRATE": "capture.audio.bitrate",
    "NEKO_AUDIO": "capture.audio.bitrate",
    "NEKO_BROADCAST_PIPELINE": "",
    "NEKO_BROADCAST_URL": "capture.broadcast.url",
    "NEKO_BROADCAST_AUTOSTART": "capture.broadcast.autostart",
    "NEKO_EPR": "webrtc.epr",
    "NEKO_NAT1TO1": "webrtc.nat1to1",
    "NEKO_TCPMUX": "webrtc.tcpmux",
    "NEKO_UDPMUX": "webrtc.udpmux",
    "NEKO_IPFETCH": "webrtc.ip_retrieval_url",
    "NEKO_ICELITE": "webrtc.icelite",
    "NEKO_ICESERVER": "webrtc.iceservers",
    "NEKO_ICESERVERS": "webrtc.iceservers",
    "NEKO_FILE_TRANSFER_ENABLED": "filetransfer.enabled",
    "NEKO_FILE_TRANSFER_PATH": "filetransfer.dir",
}
"""neko v2's variables, with the key that does the same now; empty where there is none yet."""


def not_yet_warning(name: str, key: str) -> str:
    """Return the warning for a key of `NOT_YET`, given under `name`."""
    instead = NOT_YET[key]
    return f"{name} is a setting of neko's that is not supported yet and does nothing" + (
        f": {instead}" if instead else ""
    )


def v2_warning(name: str) -> str:
    """Return the warning for a variable of neko v2."""
    keys = V2_NAMES[name]
    instead = " and ".join(env_name(key) for key in keys.split(" and ")) if keys else ""
    return f"{name} is a name of neko v2, which is not read" + (f": set {instead}" if instead else "")
