"""What the API can't do on Lambda. Each answer has status 501, the reason and another way."""

from rowferry.errors import Never

STATUS = 501
SECONDS = 29
INSTEAD = "call the API on its instance (ApiHosting=both), or invoke the stack's BackupFunction or RestoreFunction"

AFTER_THE_ANSWER = "no work continues after the answer, so leave wait=false out"


def in_words(reason: str, instead: str = INSTEAD) -> str:
    return f"the API on Lambda can't do this: {reason}; {instead}"


class NotOnLambda(Never):
    """The request changed nothing, whether or not its work had begun."""
