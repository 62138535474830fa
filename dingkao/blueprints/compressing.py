"""What leaves compressed: pages, and our own style sheets and modules (those of packages are compressed when they are copied).

A page holds secrets (the form's token, masked numbers) and may repeat what was in its address; where someone else's site can make a
browser ask for it again and again and see its length, compression would tell them (BREACH). So what another site's page asked for in
the name of someone whose cookies came along is sent as it is: `Sec-Fetch-Site` tells, and where a web view is too old to say it, the
`Referer`, which our own pages send (`Referrer-Policy: same-origin`). Such a request is the rare first one; all that follow are ours.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask_compress import Compress
from whitenoise.compress import Compressor

OURS = ("same-origin", "none")
QUICK = {"COMPRESS_BR_LEVEL": 4, "COMPRESS_LEVEL": 5, "COMPRESS_MIN_SIZE": 400}
compress = Compress()


def install(app: Flask) -> None:
    """Compress pages from here on."""
    app.config.update(COMPRESS_REGISTER=False, COMPRESS_ALGORITHM=["br", "gzip"], COMPRESS_MIMETYPES=["text/html", "application/json"], **QUICK)
    compress.init_app(app)
    app.after_request(shorten)


def shorten(response: Response) -> Response:
    """The answer, compressed where nobody else can have asked for it; a form with faults (422) too, which the library leaves alone."""
    if response.status_code not in (200, 422) or not asked_by_ours():
        return response
    status, response.status_code = response.status, 200 if response.status_code == 422 else response.status_code
    response = compress.after_request(response)
    response.status = status
    return response


def asked_by_ours() -> bool:
    """Whether the request came from a page of ours, from the person's own hand, or without anyone's cookies."""
    told = request.headers.get("Sec-Fetch-Site")
    if not request.cookies or told in OURS:
        return True
    return told is None and urlsplit(request.headers.get("Referer", "")).netloc == request.host


class WholeCopies(Compressor):
    """WhiteNoise's compressor, for when several processes begin at once: a copy is there whole or not at all."""

    @staticmethod
    def write_data(path: str, data: bytes, suffix: str, stat_result: os.stat_result) -> str:
        """Write the copy, as old as its original."""
        made = f"{path}.{os.getpid()}"
        Path(made).write_bytes(data)
        os.utime(made, (stat_result.st_atime, stat_result.st_mtime))
        os.replace(made, path + suffix)
        return path + suffix


def prepare(static: Path) -> None:
    """Lay compressed copies beside our style sheets and modules where they are missing or of another time than their original."""
    compressor = WholeCopies(quiet=True)
    for file in sorted((*static.glob("css/*.css"), *static.glob("js/*.js"))):
        copies = [file.with_name(file.name + suffix) for suffix in (".gz", ".br")]
        fresh = all(copy.exists() and copy.stat().st_mtime == file.stat().st_mtime for copy in copies)
        if not fresh and os.access(file.parent, os.W_OK):
            compressor.compress(str(file))
