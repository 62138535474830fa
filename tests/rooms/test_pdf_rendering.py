"""Drawing paper fetches nothing: whatever gets into a page, no address is asked and no file is read."""

import base64
import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pikepdf
import pypdfium2
import pytest
from PIL import Image

from dingkao.integrations.pdf import rendering

SECRET = "the secret of a file on the server"


@pytest.fixture
def canary():
    """A server that notes what is asked of it, and leads on to another address of its own."""
    requested_paths = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self):
            requested_paths.append(self.path)
            self.send_response(302 if self.path == "/redirect" else 200)
            self.send_header("Location", "/led")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Canary)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requested_paths
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def template(tmp_path, monkeypatch):
    """Draw a page and a style of the test's own."""
    monkeypatch.setattr(rendering, "TEMPLATES_DIR", tmp_path)

    def draw(page, style=""):
        (tmp_path / "page.html").write_text(page)
        (tmp_path / "page.css").write_text(style)
        return rendering.render_pdf("page")

    for cached in (rendering._template_environment, rendering._load_css):
        cached.cache_clear()
    yield draw
    for cached in (rendering._template_environment, rendering._load_css):
        cached.cache_clear()


def test_no_address_in_a_page_or_a_style_is_asked(template, canary, tmp_path):
    server, requested_paths = canary
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    style = (
        f"@import url({server}/import); @font-face {{ font-family: x; src: url({server}/font) }} "
        f"p {{ font-family: x; background: url({server}/background); list-style-image: "
        f"url({secret.as_uri()}) }}"
    )
    document = template(
        f'<link rel="stylesheet" href="{server}/link"><link rel="attachment" '
        f'href="{secret.as_uri()}"><base href="{server}/base/">'
        f'<style>{style}</style><p style="border-image-source: url({server}/border)">text</p>'
        f'<img src="{server}/picture"><img src="{server}/redirect"><img src="relative"><object '
        f'data="{server}/object"></object>'
        f'<embed src="{secret.as_uri()}"><a rel="attachment" href="{secret.as_uri()}">a</a>'
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{server}/svg"/><use '
        f'href="{server}/use#x"/></svg>',
        style,
    )
    assert requested_paths == []
    with pikepdf.open(io.BytesIO(document)) as opened:
        assert dict(opened.attachments) == {}
    assert SECRET.encode() not in document


def test_what_is_in_the_page_itself_is_drawn(template):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "#00aa00").save(buffer, "PNG")
    document = template(
        f'<img src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}" '
        'style="width: 200px">'
    )
    colours = Image.open(io.BytesIO(rendering.first_page_png(document))).convert("RGB").getcolors(1 << 20)
    assert max(colours, key=lambda counted: counted[0] * (counted[1][1] > counted[1][0] + 50))[1][1] > 150


def test_a_template_fetches_nothing_and_escapes_what_it_is_given(tmp_path, monkeypatch):
    secret = tmp_path / "secret.txt"
    secret.write_text("geheim")
    (tmp_path / "evil.css").write_text("")
    (tmp_path / "evil.html").write_text(
        f'<img src="file://{secret}"><img src="http://127.0.0.1:9/x"><link rel="attachment" '
        f'href="file://{secret}"><style>@import "file://{secret}"</style>{{{{ given }}}}'
    )
    monkeypatch.setattr(rendering, "TEMPLATES_DIR", tmp_path)
    rendering._template_environment.cache_clear()
    try:
        pdf = rendering.render_pdf("evil", given="<script>1</script>")
    finally:
        rendering._template_environment.cache_clear()
    assert b"geheim" not in pdf
    assert "<script>" in pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_range()
