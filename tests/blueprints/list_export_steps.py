"""How a list is asked for as a file, as its page does it."""

import re
from urllib.parse import parse_qs, urlsplit

from tests.blueprints.signed_in_client import post_form


def export_address(client, page):
    """The address to which a page's «导出» leads, "" where it has none."""
    link = re.search(r'href="([^"]*/office/exports/new\?[^"]*)"', client.get(page).get_data(as_text=True))
    return link[1].replace("&amp;", "&") if link else ""


def ask_for_file(client, page, **fields):
    """Ask for the list of a page as a file; gives the answer. `fields`: what is filled in, else a reason."""
    address = export_address(client, page)
    query = parse_qs(urlsplit(address).query)
    html = client.get(address).get_data(as_text=True)
    request_id = re.search(r'name="request_id"[^>]*value="([^"]+)"', html)[1]
    form = {
        "request_id": request_id,
        "list": query["list"][0],
        "view": query.get("view", [""])[0],
        "back": query.get("back", [""])[0],
        "reason": "报送市卫健委",
        "file_format": "xlsx",
    }
    return post_form(client, urlsplit(address).path, page=address, **form | fields)
