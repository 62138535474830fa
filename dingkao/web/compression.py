"""Compression of pages, and of our own style sheets and modules (those of packages are compressed when they
are copied).

A page contains secrets (the form's token, masked numbers) and may repeat parts of its URL. If another site
could make a browser request it repeatedly and observe the length, compression would reveal them (BREACH).
Therefore a request that another site's page made with the user's cookies is answered uncompressed. The header
`Sec-Fetch-Site` shows it; web views too old for it send `Referer` from our own pages (`Referrer-Policy:
same-origin`). This concerns only the rare first request; all following ones come from our pages.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask_compress import Compress
from whitenoise.compress import Compressor

SAME_SITE_VALUES = ("same-origin", "none")
COMPRESSION_OPTIONS = {
    "COMPRESS_BR_LEVEL": 4,
    "COMPRESS_LEVEL": 5,
    "COMPRESS_MIN_SIZE": 400,
}
compress = Compress()


def install(app: Flask) -> None:
    """Compress the HTML and JSON that the application's views return."""
    app.config.update(
        COMPRESS_REGISTER=False,
        COMPRESS_ALGORITHM=["br", "gzip"],
        COMPRESS_MIMETYPES=["text/html", "application/json"],
        **COMPRESSION_OPTIONS,
    )
    compress.init_app(app)
    app.after_request(compress_response)


def compress_response(response: Response) -> Response:
    """Compress a response with the status 200, or 422 (a form with errors, which the library wouldn't
    compress), unless another site may have caused the request; leave any other as it is."""
    if response.status_code not in (200, 422) or not is_same_site_request():
        return response
    status, response.status_code = response.status, 200
    response = compress.after_request(response)
    response.status = status
    return response


def is_same_site_request() -> bool:
    """Whether the request came from one of our pages, from the user directly, or without cookies."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if not request.cookies or fetch_site in SAME_SITE_VALUES:
        return True
    return fetch_site is None and urlsplit(request.headers.get("Referer", "")).netloc == request.host


class AtomicCompressor(Compressor):
    """WhiteNoise's compressor for several processes that start at the same time: a compressed copy is either
    complete or doesn't exist."""

    @staticmethod
    def write_data(
        path: str,
        data: bytes,
        suffix: str,
        stat_result: os.stat_result,
    ) -> str:
        """Write `data` as the copy of the file `path` (its name with `suffix`), with the modification time in
        `stat_result`, and return the copy's path."""
        new_path = f"{path}.{os.getpid()}"
        Path(new_path).write_bytes(data)
        os.utime(new_path, (stat_result.st_atime, stat_result.st_mtime))
        os.replace(new_path, path + suffix)
        return path + suffix


def precompress_static(static: Path) -> None:
    """Write the compressed copies of our style sheets and modules below the folder `static` that are missing
    or haven't the original's modification time; folders that can't be written to are skipped."""
    compressor = AtomicCompressor(quiet=True)
    for file in sorted((*static.glob("css/**/*.css"), *static.glob("js/*.js"))):
        if not _is_compressed(file) and os.access(file.parent, os.W_OK):
            compressor.compress(str(file))


def _is_compressed(file: Path) -> bool:
    """Whether both copies of a file exist and have its modification time."""
    copies = [file.with_name(file.name + suffix) for suffix in (".gz", ".br")]
    return all(copy.exists() and copy.stat().st_mtime == file.stat().st_mtime for copy in copies)
