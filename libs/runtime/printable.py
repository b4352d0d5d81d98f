"""Texts from outside as a terminal may get them: what is no text, or steers a terminal, is escaped."""


def printable(raw: str | bytes | None) -> str:
    r"""Return a text in which all that is not printable stands as an escape such as `\x1b`, line ends too.

    Bytes are taken as UTF-8; those that are not appear as `\xff`. Nothing is told of None.
    """
    if raw is None:
        return ""
    text = raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else raw
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    # A lone surrogate has no bytes, but it has a number.
    return ascii(char)[1:-1]
