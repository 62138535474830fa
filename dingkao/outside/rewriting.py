"""Writing a stranger's PDF anew, in a process of its own: a few hundred kilobytes can unfold to gigabytes, or trip the parser.

`rewritten` is what others call. Run as a script, this file is the child: PDF in by stdin, PDF out by stdout, under limits of its own.
"""

import io
import resource
import subprocess
import sys
from pathlib import Path

MEMORY = 768 * 1024 * 1024
CPU_SECONDS = 20
PATIENCE_SECONDS = 40
LOCKED, TOO_LONG, EMPTY = 10, 11, 12
KEPT_OF_PAGE = ("/Type", "/Contents", "/Resources", "/MediaBox", "/CropBox", "/Rotate", "/UserUnit", "/Group", "/Parent")
ACTING = ("/AA", "/OpenAction", "/JS", "/JavaScript", "/AF", "/EF", "/EmbeddedFiles", "/PieceInfo", "/Metadata", "/Launch", "/RichMediaContent")


class NotRewritten(ValueError):  # noqa: N818
    """The PDF could not be written anew; `code` is LOCKED, TOO_LONG, EMPTY, or anything else for broken."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


def rewritten(content: bytes, most_pages: int) -> bytes:
    """The pages of a PDF of at most `most_pages`, without scripts, attachments, actions and metadata; what forms show is made part of
    the page. Raises NotRewritten."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter on our own file
            [sys.executable, "-I", str(Path(__file__)), str(most_pages)], input=content, capture_output=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as fault:
        raise NotRewritten(1) from fault
    if done.returncode:
        raise NotRewritten(done.returncode)
    return done.stdout


def _child(content: bytes, most_pages: int) -> bytes:
    import pikepdf

    try:
        given = pikepdf.open(io.BytesIO(content))
    except pikepdf.PasswordError:
        raise SystemExit(LOCKED) from None
    with given:
        if len(given.pages) > most_pages:
            raise SystemExit(TOO_LONG)
        if not given.pages:
            raise SystemExit(EMPTY)
        if given.acroform.exists:
            given.generate_appearance_streams()
        given.flatten_annotations("all")
        clean = pikepdf.new()
        for page in given.pages:
            for key in set(page.obj.keys()) - set(KEPT_OF_PAGE):
                del page[key]
            clean.pages.append(page)
        for one in clean.objects:
            if isinstance(one, (pikepdf.Dictionary, pikepdf.Stream)):
                for key in set(one.keys()) & set(ACTING):
                    del one[key]
        written = io.BytesIO()
        clean.save(written)
    return written.getvalue()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.buffer.write(_child(sys.stdin.buffer.read(), int(sys.argv[1])))
