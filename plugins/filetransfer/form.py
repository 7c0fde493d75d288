"""Reading an upload as it arrives: multipart/form-data without I/O, with bounds. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

FIELD = "files"
"""The form's field that has the files; what comes in other fields is passed over."""

MOST_PARTS = 1000
"""Parts of one form."""


class BadForm(ValueError):  # noqa: N818 (it says what the form is)
    """What came is no form, or not one that has files."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A file begins; its name is what the client says."""

    filename: str


@dataclass(frozen=True, slots=True)
class Data:
    """More of its content."""

    content: bytes


@dataclass(frozen=True, slots=True)
class End:
    """It is complete."""


Event = Begin | Data | End


class UploadForm:
    """Bytes in, events out: `Begin`, `Data`…, `End` for each file."""

    def __init__(self, content_type: str) -> None:
        """`content_type` is the request's header. Raises `BadForm`."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind.lower() != b"multipart/form-data" or not boundary:
            raise BadForm("the body is not multipart/form-data")
        self._events: list[Event] = []
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._parts = 0
        self._in_file = False
        self._ended = False
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begins,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_ends,
            "on_end": self._ends,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type] # a TypedDict of these
        except FormParserError as error:
            raise BadForm(str(error)) from None

    def feed(self, content: bytes) -> list[Event]:
        """Take in more of the body. Raises `BadForm`."""
        try:
            self._parser.write(content)
        except FormParserError as error:
            raise BadForm(str(error)) from None
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """Take in the end of the body. Raises `BadForm` when the form is not complete."""
        if not self._ended:
            raise BadForm("the form breaks off")

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadForm(f"the form has more than {MOST_PARTS} parts")
        self._headers = {}
        self._header = (bytearray(), bytearray())

    def _header_ends(self) -> None:
        field, value = self._header
        self._headers[bytes(field).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        filename = options.get(b"filename")
        self._in_file = options.get(b"name") == FIELD.encode() and filename is not None
        if self._in_file and filename is not None:
            # a name that is no UTF-8 has half a surrogate pair here, which no file is made of
            self._events.append(Begin(_unescaped(filename.decode("utf-8", "surrogateescape"))))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._events.append(Data(data[start:end]))

    def _part_ends(self) -> None:
        if self._in_file:
            self._events.append(End())
        self._in_file = False

    def _ends(self) -> None:
        self._ended = True


def _unescaped(filename: str) -> str:
    """Undo what browsers do to a name in a form, to these three characters alone (HTML, 4.10.22.8)."""
    return filename.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
