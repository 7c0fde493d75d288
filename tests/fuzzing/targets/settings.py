"""A configuration file: it is read, or refused with sentences, whatever is in it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from streamserver.config import ConfigError, load_settings
from streamserver.config.dump import dump_yaml

MAX_LENGTH = 4096
INSTRUMENTED = (
    "streamserver.config",
    "yaml",
)


class SettingsTarget:
    """The reader, without environment and flags."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="catnap-fuzzing-")
        self._file = Path(self._directory.name) / "neko.yaml"

    def feed(self, data: bytes) -> None:
        self._file.write_bytes(data)
        try:
            loaded = load_settings(self._file, {}, {}, lambda _plugins: {})
        except ConfigError as error:
            problems = list(error.problems)
        else:
            problems = [dump_yaml(loaded)]
        assert problems
        assert all(0 < len(problem) < 20_000 for problem in problems)

    def close(self) -> None:
        self._directory.cleanup()


def open_target() -> SettingsTarget:
    return SettingsTarget()


def seeds() -> dict[str, bytes]:
    texts = {
        "empty": "",
        "server": 'server:\n  bind: "127.0.0.1:8080"\n  cors: [https://example.com]\n',
        "members": "member:\n  object:\n    users:\n    - {username: ann, password: x, profile: {}}\n",
        "webrtc": "webrtc:\n  udpmux: 59000\n  iceservers: [{urls: ['stun:a.example']}]\n",
        "capture": "capture:\n  video:\n    codec: h264\n    fps: 30\n  audio: {}\n",
        "desktop": 'desktop:\n  screen: "1280x720@30"\nsession:\n  cookie: {enabled: true}\n',
        "anchors": "session: &a {inactive_cursors: true}\ndesktop: *a\n",
        "misspelt": "sever:\n  bind: x\n",
        "not-a-section": "server: 5\n",
    }
    return {name: text.encode() for name, text in texts.items()}
