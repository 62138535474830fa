"""The error of a stack that can't start."""


class StartupError(SystemExit):
    """Something of the stack could not start. The message says what, and names its log with the last lines,
    if there is one."""
