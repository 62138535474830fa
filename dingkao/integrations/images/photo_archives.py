"""Archives (zip) of photos: what is in them, and the pictures of some entries, read in a sandbox.

Nothing is unpacked onto a disk; of an entry's name only the last part counts, so that a path in it leads
nowhere. What an archive says of its sizes is only believed where it is too much: of each entry no more is
read than a picture may have."""

import io
import zipfile
from collections.abc import Iterable, Iterator

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.archive_errors import ARCHIVE_ERRORS
from dingkao.integrations.images.images import MAX_DOCUMENT_BYTES
from dingkao.integrations.sandbox import runner

MB = 1024 * 1024
MAX_ARCHIVE_BYTES = 64 * MB
MAX_ENTRIES = 2_000
MAX_UNPACKED_BYTES = 1024 * MB
MAX_NAME_LENGTH = 100
UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1
IGNORED_NAMES = (".DS_Store", "Thumbs.db", "desktop.ini")
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png")
TOO_LARGE_MESSAGE = f"压缩包文件超过{MAX_ARCHIVE_BYTES // MB}MB，请分成几个上传。"
TOO_COMPLEX_MESSAGE = "压缩包内容过多或过于复杂，系统读不完这个文件。请分成几个上传。"
NOT_AN_ARCHIVE_MESSAGE = "这个文件不是zip压缩包，或已损坏。请把照片压缩成zip格式后上传。"
NO_ENTRIES_MESSAGE = "压缩包文件中没有照片，请重新压缩后上传。"
TOO_MANY_ENTRIES_MESSAGE = f"压缩包中的文件超过{MAX_ENTRIES}个，请分成几个上传。"
UNPACKS_TOO_LARGE_MESSAGE = "压缩包中的文件解压后太大，请压缩照片，或分成几个上传。"
ENCRYPTED_PROBLEM = "文件有密码，不能读取"
TOO_LARGE_PROBLEM = f"照片超过{MAX_DOCUMENT_BYTES // MB}MB"
WRONG_ENDING_PROBLEM = "不是jpg或png格式的照片"
DAMAGED_PROBLEM = "文件在压缩包中已损坏，不能读取"
ListedEntry = tuple[int, str, str]
"""An entry's position in the archive, its name without folders, and why its picture can't be taken, "" if
nothing speaks against that yet."""


def list_entries(content: bytes) -> list[ListedEntry]:
    """The entries of an archive that may be photos, in its order; folders and what systems add by themselves
    are left out, what can't be a photo is listed with the reason. Raises InvalidInput (field "file") for what
    is no archive or has no such entry, TooLarge for one with too many or too large entries, Unavailable."""
    if len(content) > MAX_ARCHIVE_BYTES:
        raise TooLarge(TOO_LARGE_MESSAGE)
    return runner.run(list_in_child, content, limit_message=TOO_COMPLEX_MESSAGE)


def read_pictures(content: bytes, positions: Iterable[int]) -> Iterator[tuple[int, bytes | None]]:
    """Yield the position and content of the entries at `positions` (as in ListedEntry), in that order; None
    for one that can't be read or is larger than a picture may be. `content`: an archive that `list_entries`
    has accepted, whose size isn't checked again. Raises while it is read InvalidInput, also for a position
    that isn't there (`runner.Unreadable`), runner.LimitExceeded, Unavailable."""
    return runner.iterate(read_in_child, content, list(positions), limit_message=TOO_COMPLEX_MESSAGE)


def list_in_child(content: bytes) -> list[ListedEntry]:
    """The child's half of `list_entries`: returns and raises as that does, but for Unavailable. Of a long
    name the last MAX_NAME_LENGTH characters are returned."""
    with _open(content) as archive:
        entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise TooLarge(TOO_MANY_ENTRIES_MESSAGE)
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise TooLarge(UNPACKS_TOO_LARGE_MESSAGE)
    listed = [
        (position, name[-MAX_NAME_LENGTH:], _problem_of(entry, name))
        for position, entry in enumerate(entries)
        if (name := _name_of(entry)) and not _is_ignored(entry, name)
    ]
    if not listed:
        raise InvalidInput(NO_ENTRIES_MESSAGE, "file")
    return listed


def read_in_child(content: bytes, positions: list[int]) -> Iterator[tuple[int, bytes | None]]:
    """The child's half of `read_pictures`: yields as that does. Raises InvalidInput for what is no archive,
    IndexError for a position that isn't there."""
    with _open(content) as archive:
        entries = archive.infolist()
        for position in positions:
            yield position, _read_entry(archive, entries[position])


def _open(content: bytes) -> zipfile.ZipFile:
    """Open an archive, which the caller closes. Raises InvalidInput if it is none."""
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except ARCHIVE_ERRORS as error:
        raise InvalidInput(NOT_AN_ARCHIVE_MESSAGE, "file") from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | None:
    """What an entry holds; None if it can't be read or is too large."""
    try:
        with archive.open(entry) as opened:
            picture = opened.read(MAX_DOCUMENT_BYTES + 1)
    except ARCHIVE_ERRORS:
        return None
    return picture if len(picture) <= MAX_DOCUMENT_BYTES else None


def _name_of(entry: zipfile.ZipInfo) -> str:
    """The last part of an entry's name without unprintable characters, "" for a folder. Windows writes names
    in GB 18030 without saying so; what comes out is only shown and compared with numbers."""
    name = entry.filename
    if not entry.flag_bits & UTF8_FLAG:
        try:
            name = name.encode("cp437").decode("gb18030")
        except UnicodeError:
            name = entry.filename
    return "".join(filter(str.isprintable, name.replace("\\", "/").rsplit("/", 1)[-1])).strip()


def _is_ignored(entry: zipfile.ZipInfo, name: str) -> bool:
    """Whether an entry is none of the photos: a folder, or what a system adds by itself."""
    return (
        entry.is_dir()
        or name in IGNORED_NAMES
        or name.startswith("._")
        or entry.filename.startswith("__MACOSX/")
    )


def _problem_of(entry: zipfile.ZipInfo, name: str) -> str:
    """Why an entry's picture can't be taken, by its `name` and what the archive says of it; "" if nothing
    speaks against that."""
    if not name.lower().endswith(PICTURE_ENDINGS):
        return WRONG_ENDING_PROBLEM
    if entry.flag_bits & ENCRYPTED_FLAG:
        return ENCRYPTED_PROBLEM
    return TOO_LARGE_PROBLEM if entry.file_size > MAX_DOCUMENT_BYTES else ""
