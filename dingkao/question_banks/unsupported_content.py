"""Content of other programs' documents that a question can't hold: its names, and the kinds of files to which
links lead."""

import re

PICTURES = "图片"
MEDIA = "音频、视频"
EMBEDDED = "嵌入的内容"
FORMULAS = "公式"
FORMS = "表单"
NESTED_TABLE, STRUCK, HIDDEN = "表格中的表格", "删除线", "隐藏的文字"
_MEDIA_EXTENSIONS = "mp3|mp4|m4a|wav|ogg|oga|webm|mov|avi|flv|wmv|wma|aac|amr"
_IMAGE_EXTENSIONS = "png|jpe?g|gif|svg|bmp|webp"
LINKED_FILE_EXTENSIONS = f"{_MEDIA_EXTENSIONS}|{_IMAGE_EXTENSIONS}"
"""Extensions of pictures, sounds and videos, as a part of a pattern."""


def _link_pattern(extensions: str) -> re.Pattern[str]:
    """A pattern for addresses of files with one of these extensions."""
    return re.compile(rf"\.(?:{extensions})(?:$|[?#])", re.IGNORECASE)


_KIND_BY_PATTERN = {
    _link_pattern(_MEDIA_EXTENSIONS): MEDIA,
    _link_pattern(_IMAGE_EXTENSIONS): PICTURES,
}


def linked_file_kind(address: str) -> str:
    """What a link shows or plays that a question can't (`PICTURES`, `MEDIA`); "" for any other link."""
    for pattern, kind in _KIND_BY_PATTERN.items():
        if pattern.search(address):
            return kind
    return ""
