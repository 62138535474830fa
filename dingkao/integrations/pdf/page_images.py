"""Pages of a stored PDF as pictures, drawn in a sandbox, because the PDF was made by strangers."""

import io

from dingkao.errors import NotFound
from dingkao.integrations.sandbox import runner

MAX_SIDE, JPEG_QUALITY = 1800, 85
"""The longer side of a picture, in pixels."""
TOO_COMPLEX_MESSAGE = "这一页无法显示，请点击“在新窗口打开”查看。"


@runner.sandboxed(TOO_COMPLEX_MESSAGE)
def render_page(content: bytes, number: int) -> tuple[bytes, int]:
    """Returns page `number` (from 1) of a PDF as JPEG, its longer side MAX_SIDE pixels, and how many pages
    there are. Runs in a sandbox (`runner.sandboxed`). Raises NotFound if there is no such page; TooLarge,
    Unavailable, and runner.Unreadable for a PDF that can't be opened."""
    import pypdfium2

    document = pypdfium2.PdfDocument(content)
    try:
        if not 1 <= number <= len(document):
            raise NotFound
        page = document[number - 1]
        picture = page.render(scale=MAX_SIDE / max(page.get_width(), page.get_height(), 1)).to_pil()
        buffer = io.BytesIO()
        picture.convert("RGB").save(
            buffer,
            "JPEG",
            quality=JPEG_QUALITY,
        )
        return buffer.getvalue(), len(document)
    finally:
        document.close()
