"""A video in a multipart form, parsed while it arrives: never more than one network chunk of it is held."""

import ntpath
from collections.abc import AsyncIterator
from datetime import datetime

import pydantic
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.videos.registration import VideoDetails
from vidintel.domain.errors import UnsupportedMedia
from vidintel.domain.video import CameraId
from vidintel.presentation.http.errors import FieldError, MalformedForm, RequestInvalid, field_errors
from vidintel.presentation.http.schemas.jobs import SpecBody
from vidintel.presentation.http.schemas.videos import CapturedAt

FILE_FIELD = "file"
TEXT_FIELDS = ("title", "description", "captured_at", "camera_id", "spec")
MAX_FIELD_BYTES = 64 * 1024
_UNNAMED = "video"
_captured_at: pydantic.TypeAdapter[datetime] = pydantic.TypeAdapter(CapturedAt)


class MultipartVideo:
    """`IncomingVideo` over the body of a request: one part ``file``, and text fields before or after it.

    An empty text field, as browsers send for an input left blank, counts as left out.
    """

    def __init__(self, boundary: bytes, body: AsyncIterator[bytes]) -> None:
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_begin": self._on_header_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )
        self._body = body
        self._ended = False
        self._headers: dict[bytes, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._field = ""
        self._text = bytearray()
        self._seen: set[str] = set()
        self._file_name: str | None = None
        self._pieces: list[bytes] = []
        self._title: str | None = None
        self._description: str | None = None
        self._captured_at: datetime | None = None
        self._camera_id: CameraId | None = None
        self._spec = SpecRequest()

    @classmethod
    async def open(cls, content_type: str | None, body: AsyncIterator[bytes]) -> "MultipartVideo":
        """Read ``body`` up to where the file begins.

        Raises `UnsupportedMedia` when ``content_type`` is not that of a form, `MalformedForm` for bytes that are none,
        `RequestInvalid` for a form without a file or with fields that do not fit.
        """
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise UnsupportedMedia("Send the video as multipart/form-data, in a part named 'file'.")
        if not options.get(b"boundary"):
            raise MalformedForm("The Content-Type of the form has no boundary.")
        try:
            form = cls(options[b"boundary"], body)
        except FormParserError as error:
            raise MalformedForm("The boundary of the form is not valid.") from error
        while form._file_name is None:
            if not await form._advance():
                raise _invalid(FILE_FIELD, "The form has no file. Send the video in a part named 'file'.")
        return form

    @property
    def file_name(self) -> str:
        return self._file_name or _UNNAMED

    def details(self) -> VideoDetails:
        return VideoDetails(
            title=self._title,
            description=self._description,
            captured_at=self._captured_at,
            camera_id=self._camera_id,
            spec=self._spec,
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if not await self._advance():
                return

    async def _advance(self) -> bool:
        """Parse one more chunk of the body; ``False`` once the form is complete."""
        if self._ended:
            return False
        chunk = await anext(self._body, None)
        try:
            if chunk is None:
                raise MalformedForm("The form ends before its final boundary.")
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedForm("The body is not a well-formed multipart form.") from error
        return True

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._text = bytearray()

    def _on_header_begin(self) -> None:
        self._header_name = bytearray()
        self._header_value = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)

    def _on_headers_finished(self) -> None:
        disposition, options = parse_options_header(
            self._headers.get(b"content-disposition", b"").decode("latin-1") or None
        )
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if disposition != b"form-data" or not name:
            raise MalformedForm("Every part of the form needs a name.")
        if name != FILE_FIELD and name not in TEXT_FIELDS:
            raise _invalid(
                name[:100], f"Unknown field. The fields of the form are {FILE_FIELD}, {', '.join(TEXT_FIELDS)}."
            )
        if name in self._seen:
            raise _invalid(name, "Give this field once.")
        self._seen.add(name)
        self._field = name
        if name == FILE_FIELD:
            # Some clients send a whole path, and with backslashes: the last component is the name.
            sent = options.get(b"filename", b"").decode("utf-8", "replace")
            self._file_name = ntpath.basename(sent) or _UNNAMED

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field == FILE_FIELD:
            self._pieces.append(data[start:end])
            return
        if len(self._text) + end - start > MAX_FIELD_BYTES:
            raise _invalid(self._field, f"The field is longer than {MAX_FIELD_BYTES} bytes.")
        self._text += data[start:end]

    def _on_part_end(self) -> None:
        if self._field == FILE_FIELD or not self._text:
            return
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            raise _invalid(self._field, "The field must be UTF-8 text.") from None
        self._keep(text)

    def _on_end(self) -> None:
        self._ended = True

    def _keep(self, text: str) -> None:
        try:
            match self._field:
                case "title":
                    self._title = text
                case "description":
                    self._description = text
                case "captured_at":
                    self._captured_at = _captured_at.validate_python(text)
                case "camera_id":
                    self._camera_id = CameraId(text)
                case "spec":
                    self._spec = SpecBody.model_validate_json(text).request()
        except pydantic.ValidationError as error:
            raise RequestInvalid(field_errors(error.errors(), self._field)) from None


def _invalid(field: str, detail: str) -> RequestInvalid:
    return RequestInvalid([FieldError(field, detail)])
