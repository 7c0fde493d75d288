"""An upload's form as it arrives: read in pieces it is the same as at once, or it is refused.

The first byte of an input says how the rest is cut into pieces.
"""

from __future__ import annotations

from plugins.filetransfer.form import MOST_PARTS, BadForm, Begin, Data, End, Event, UploadForm

MAX_LENGTH = 4096
INSTRUMENTED = (
    "plugins.filetransfer.form",
    "python_multipart",
)

KIND = "multipart/form-data; boundary=edge"


class UploadFormTarget:
    """The reader of forms."""

    def feed(self, data: bytes) -> None:
        step, body = (data[0] if data else 0) + 1, data[1:]
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        whole, in_pieces = read([body]), read(pieces)
        # the library refuses what stands before the first edge, unless that comes in one piece with it
        assert whole == in_pieces or None in (whole, in_pieces)
        if whole is not None:
            assert len(whole) <= MOST_PARTS
            assert sum(len(content) for _, content in whole) <= len(body)

    def close(self) -> None:
        """Nothing is open."""


def read(pieces: list[bytes]) -> list[tuple[str, bytes]] | None:
    """Return the files of a form; None: it was refused."""
    files: list[tuple[str, bytes]] = []
    opened = False
    try:
        form = UploadForm(KIND)
        for piece in pieces:
            for event in form.feed(piece):
                opened = take(event, files, opened=opened)
        form.finish()
    except BadForm:
        return None
    assert not opened, "every file that begins ends"
    return files


def take(event: Event, files: list[tuple[str, bytes]], *, opened: bool) -> bool:
    """Note an event; return whether a file is open now."""
    match event:
        case Begin(filename):
            assert not opened
            files.append((filename, b""))
            return True
        case Data(content):
            assert opened
            files[-1] = (files[-1][0], files[-1][1] + content)
            return True
        case End():
            assert opened
    return False


def open_target() -> UploadFormTarget:
    return UploadFormTarget()


def seeds() -> dict[str, bytes]:
    def part(disposition: str, content: bytes) -> bytes:
        return (
            b"--edge\r\nContent-Disposition: form-data; "
            + disposition.encode()
            + b"\r\n\r\n"
            + content
            + b"\r\n"
        )

    one = part('name="files"; filename="a.txt"', b"hello")
    odd = part('name="files"; filename="..%2F%22\\\\x.txt"', bytes(range(256)))
    field = part('name="other"', b"passed over")
    end = b"--edge--\r\n"
    return {
        "one": b"\xff" + one + end,
        "several-byte-by-byte": b"\x00" + one + field + odd + end,
        "empty": b"\x05" + end,
        "broken-off": b"\x07" + one,
        "edge-in-content": b"\x03" + part('name="files"; filename="b"', b"\r\n--edg\r\n--edgy") + end,
    }
