"""Calls of Kafka's tools, for the record: whether one only looks, and its arguments without secrets."""

from collections.abc import Iterator, Sequence

_REDACTED = "…"
_ONLY_LOOK = frozenset({"get-offsets", "groups", "log-dirs"})
# The transactions tool has its actions as words.
_ENDING_TRANSACTIONS = frozenset({"abort", "forceTerminateTransaction"})
_LOOKING = frozenset({"--describe", "--help", "--list", "--version"})
# A console consumer that is given a group moves the group's offsets.
_MAY_NAME_A_GROUP = ("config", "group", "propert")
_SECRET = ("password", "secret")
_BEFORE_SECRETS = ("config", "propert", *_SECRET)


def only_looks(tool: str, arguments: Sequence[str]) -> bool:
    """Tell whether a call changes nothing; where that is not plain from its options, it may.

    Kafka's tools take one action at a time, so one that lists or describes does nothing else.
    """
    options = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    if tool == "console-consumer":
        return not any(_has(option, _MAY_NAME_A_GROUP) for option in options)
    if tool == "transactions":
        return _ENDING_TRANSACTIONS.isdisjoint(arguments)
    return tool in _ONLY_LOOK or not _LOOKING.isdisjoint(options)


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """Return a tool's arguments, without what follows an option of settings, or speaks of a password."""
    return list(_without_secrets(arguments))


def _without_secrets(arguments: Sequence[str]) -> Iterator[str]:
    follows = False
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if follows:
            yield _REDACTED
            follows = False
        elif argument.startswith("-") and (_has(option, _BEFORE_SECRETS) or _has(value, _SECRET)):
            yield f"{option}={_REDACTED}" if equals else option
            follows = not equals
        else:
            yield _REDACTED if _has(argument, _SECRET) else argument


def _has(text: str, words: Sequence[str]) -> bool:
    return any(word in text.lower() for word in words)
