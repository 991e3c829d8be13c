"""What the API can't do on Lambda, always said alike: status 501, and words with the reason and another way."""

from rowferry.errors import Never

STATUS = 501
SECONDS = 29
INSTEAD = "ask the API on its instance (ApiHosting=both), or invoke the stack's BackupFunction or RestoreFunction"

AFTER_THE_ANSWER = "no work goes on after an answer, so leave wait=false out"


def in_words(reason: str, instead: str = INSTEAD) -> str:
    return f"the API on Lambda can't do this: {reason}; {instead}"


class NotOnLambda(Never):
    """Nothing was begun, or what was begun has changed nothing."""
