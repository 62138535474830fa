"""Downloads of large files, piece by piece: no process holds more than a piece."""

from collections.abc import Callable, Iterator

from flask import Flask, Response, current_app

from dingkao.tenants.context import current_tenant, in_tenant

MIMETYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


def streamed_response(
    name: str, load_piece: Callable[[int], bytes], piece_count: int, size: int | None
) -> Response:
    """A file as a download called `name` (ASCII, without quotes; its ending chooses the content type), of
    which `load_piece` returns piece n (from 0). `size`: the bytes of all pieces, None if unknown. The first
    piece is loaded now, and what that raises is raised; the others are loaded in the current province while
    they are sent, and an error there breaks the download off."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    pieces = _iter_pieces(app, load_piece(0), load_piece, range(1, piece_count), current_tenant())
    response = Response(pieces, content_type=MIMETYPES.get(name.rsplit(".", 1)[-1]))
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if size is not None:
        response.headers["Content-Length"] = str(size)
    return response


def _iter_pieces(
    app: Flask, first_piece: bytes, load_piece: Callable[[int], bytes], others: range, tenant: int
) -> Iterator[bytes]:
    """Yields the first piece and the others; these are loaded when they are sent, which is after the request,
    so each enters the province by itself and nothing stays entered in between."""
    yield first_piece
    for number in others:
        with app.app_context(), in_tenant(tenant):
            piece = load_piece(number)
        yield piece
