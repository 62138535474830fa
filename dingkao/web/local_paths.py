"""Checks paths that a request names as the page to go on to: only paths of this site are followed."""


def is_local_path(path: str) -> bool:
    """Whether a path stays on this site: it begins with exactly one slash (two begin another site's address),
    and has no characters that browsers ignore and no backslash, which they read as a slash."""
    if not path.startswith("/") or path.startswith("//"):
        return False
    return path.isprintable() and "\\" not in path
