"""Commands from outside: JSON values in, a command or a clear refusal out."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orders.commands import COMMAND_MODELS, CommandData
from orders.rejections import Malformed

_FIELDS = {name: frozenset(model.model_fields) - {"type"} for name, model in COMMAND_MODELS.items()}
_MOST_ERRORS = 3
_LONGEST_QUOTE = 40
_WITHOUT_TYPE = {"type"}


def parse_command(command_type: str, data: object) -> CommandData:
    """Return the command that a JSON value describes.

    `data` is the value as a JSON reader gives it that reads numbers exactly: str, int, Decimal, bool, None,
    dict or list. Raises Malformed, a Rejected, whose message names up to three fields, each with its rule.
    Unknown fields are refused, `type` among them: the type comes with the envelope.
    """
    model = COMMAND_MODELS.get(command_type)
    if model is None:
        raise Malformed([("type", f"{_quoted(command_type)} is not a command")])
    if not isinstance(data, dict):
        raise Malformed([("data", "must be a JSON object")])
    fields = _FIELDS[command_type]
    unknown = [] if data.keys() <= fields else [key for key in data if key not in fields]
    try:
        # Unknown fields are kept from pydantic, which can't name a field that is no valid Unicode.
        command = model.model_validate({key: data[key] for key in data if key in fields} if unknown else data)
    except ValidationError as error:
        problems = [_problem(each) for each in error.errors(include_url=False, include_input=False)]
    else:
        if not unknown:
            return command
        problems = []
    count = len(problems) + len(unknown)
    # A value of 1 MiB can hold a hundred thousand unknown fields.
    problems += [(_quoted(key), f"is not a field of {command_type}") for key in unknown[:_MOST_ERRORS]]
    raise Malformed(problems[:_MOST_ERRORS], max(0, count - _MOST_ERRORS))


def canonical_json(data: CommandData) -> str:
    """Return the command's fields as JSON text that is the same however the sender wrote the same values.

    Keys in the order the command's class has them, no spaces, numbers as plain decimal strings, absent and
    null fields left out, no `type`. Part of each command's stored fingerprint: keep the order of the fields.
    """
    return data.model_dump_json(exclude=_WITHOUT_TYPE, exclude_none=True)


def _problem(error: ErrorDetails) -> tuple[str, str]:
    field = ".".join(str(part) for part in error["loc"]) or "percent, amount"
    return field, "is required" if error["type"] == "missing" else error["msg"]


def _quoted(name: object) -> str:
    # ascii() because a name from outside may hold anything, half a surrogate pair included.
    text = ascii(str(name))[1:-1]
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
