"""The refusals: exceptions that carry a sentence for the user. The web answers with the `status` of the
class."""


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault of the program
    """A request is refused; `message` (Chinese) tells the user why and what to do instead. `retry_after`:
    after how many seconds the request may be repeated, if that is known."""

    status = 400
    retry_after: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(Refusal):
    """The submitted value can't be used. `field` is the name of its form field or column, if there is one."""

    status = 422

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFound(Refusal):
    """The thing does not exist, or the person may not know that it exists: a row of another province is
    treated like a missing row."""

    status = 404

    def __init__(
        self,
        message: str = "没有找到您要的内容，可能已被移动或删除。请返回上一页重新选择。",
    ) -> None:
        super().__init__(message)


class Forbidden(Refusal):
    """The person is signed in, but has no permission for this."""

    status = 403

    def __init__(
        self,
        message: str = "您的账号没有此项权限。如确需办理，请联系本单位或省级管理员。",
    ) -> None:
        super().__init__(message)


class InvalidState(Refusal):
    """The thing is in a state in which this can't be done."""

    status = 409


class DeadlinePassed(InvalidState):
    """It could have been done earlier, but its deadline has passed."""


class TooLarge(Refusal):
    """The submitted data have more bytes than are accepted."""

    status = 413


class RateLimited(Refusal):
    """The client has asked too often; `retry_after` is in seconds."""

    status = 429
    retry_after: int

    def __init__(self, message: str, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Busy(Refusal):
    """More people ask for it at this moment than can be served at once; `retry_after` is in seconds."""

    status = 503
    retry_after: int

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """An engine that is needed (store, queue, database) does not respond at the moment."""

    status = 503
