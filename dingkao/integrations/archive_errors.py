"""The errors that reading a damaged or encrypted archive (zip) raises, with any compression method."""

import lzma
import struct
import zipfile
import zlib

ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,
    LookupError,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)
"""Errors of `zipfile`, and of its decompressors, which it does not convert."""
