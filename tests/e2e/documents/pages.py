"""What a page tells its reader to do: its blocks of code, taken apart into steps.

Every block of code is fenced and names its language, so that none is left out unseen:

- `console`: `$ ` begins a command, `tillstream=> ` a statement for `till psql`; behind it is what it prints.
- `sh`: commands, whose output is not shown.
- `python`, `sql`: a file, if the first line is a comment with nothing but its name.
- any other language is nothing to run.

`<!-- not run: REASON -->` before a block says what keeps it from being run here.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PROMPT, SQL_PROMPT = "$ ", "tillstream=> "
_MORE_SQL = "tillstream-> "
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+?) -->", re.DOTALL)
_FILE = re.compile(r"(?:#|--) (?P<name>[\w-]+\.(?:py|sql))")
RUN = frozenset({"console", "sh", "python", "sql"})
SHOWN = frozenset({"text", "json", "yaml", "properties", "sql+jinja"})


@dataclass(frozen=True)
class Step:
    """A command, or a file to be there, with the line of the page that it stands on.

    `shown` is what the page says it prints; None where the page shows nothing. `sql` is for `till psql`.
    """

    line: int
    text: str
    shown: str | None = None
    sql: bool = False
    file: str | None = None


@dataclass(frozen=True)
class Page:
    """A document's steps in order; what is not run, line → reason; and the blocks that break the rules."""

    steps: list[Step]
    not_run: dict[int, str]
    faults: list[str]


def read_page(file: Path) -> Page:
    """Take a document apart."""
    page, reason = Page([], {}, []), ""
    for token in MarkdownIt().parse(file.read_text()):
        if token.type in {"fence", "code_block"}:
            _take(page, token, reason)
            reason = ""
        elif token.type == "html_block" and (found := _NOT_RUN.match(token.content)):
            reason = " ".join(found["reason"].split())
        elif token.nesting >= 0 and token.type not in {"inline", "html_block"}:
            reason = ""
    return page


def _take(page: Page, token: Token, reason: str) -> None:
    # Lines count from 1, and the fence is one.
    line = token.map[0] + (2 if token.type == "fence" else 1)
    language = token.info.strip()
    if token.type == "code_block":
        page.faults.append(f"line {line}: fence the block, and name its language")
    elif language not in RUN | SHOWN:
        page.faults.append(f"line {line}: {language or 'no language'} is none of {sorted(RUN | SHOWN)}")
    elif language in RUN and reason:
        page.not_run[line] = reason
    elif language == "console":
        page.steps.extend(_session(token.content.splitlines(), line))
    elif language == "sh":
        page.steps.extend(_commands(token.content.splitlines(), line))
    elif language in RUN:
        name = _FILE.fullmatch(token.content.partition("\n")[0])
        if name is None:
            page.faults.append(f"line {line}: begin the block with a comment that names its file")
        else:
            page.steps.append(Step(line, token.content, file=name["name"]))


def _commands(lines: list[str], first: int) -> Iterator[Step]:
    """Give each command of a block that shows no output."""
    text, start = "", first
    for number, line in enumerate(lines, first):
        text, start = (f"{text}\n{line}", start) if text else (line, number)
        if not _goes_on(text):
            yield Step(start, text)
            text = ""


def _session(lines: list[str], first: int) -> Iterator[Step]:
    """Give each command of a session, with what follows it up to the next."""
    starts = [at for at, line in enumerate(lines) if line.startswith((PROMPT, SQL_PROMPT))]
    assert starts[:1] == [0], f"line {first}: a session begins with a command"
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        sql = lines[start].startswith(SQL_PROMPT)
        text, at = lines[start].removeprefix(SQL_PROMPT if sql else PROMPT), start + 1
        while at < end and (lines[at].startswith(_MORE_SQL) if sql else _goes_on(text)):
            text += "\n" + lines[at].removeprefix(_MORE_SQL)
            at += 1
        shown = "\n".join(lines[at:end]).strip()
        yield Step(first + start, text, shown or None, sql)


def _goes_on(command: str) -> bool:
    """Tell whether a shell would ask for another line."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return command.endswith("\\")
