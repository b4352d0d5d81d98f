"""What counts as the same when what a page shows is compared with what was printed."""

from pathlib import Path

import pytest

from e2e.documents.pages import read_page
from e2e.documents.printed import is_as_shown

PAGE = """
```sh
first \\
    --option
second    # and why
```

```console
$ curl "$api" -d '{
  "a": 1}'
{"a": 1}
$ wait
tillstream=> SELECT 1
tillstream-> AS one;
 one
```

<!-- not run: it needs
two machines -->
```sh
stop
```

    indented

```
bare
```
"""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('{"a": 1,\n "b": 2}', '{"a":1,"b":2}'),
        ("first\n…\nlast", "first\nsecond\nthird\nlast"),
        ("at 2026-11-23 15:10:39Z", "at 2027-01-05 03:00:00Z"),
        ("8,403 events, 4,065/s, in 3.1 s", "8,403 events, 9/s, in 0.2 s"),
        ("by root@vm", "by ann@till-office"),
    ],
)
def test_what_differs_from_run_to_run_is_the_same(shown: str, printed: str) -> None:
    """White space, times of recording, rates and people; what is cut may be anything."""
    assert is_as_shown(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("total 4.77", "total 4.78"),
        ("at 2017-01-02 15:10:39Z", "at 2017-01-03 15:10:39Z"),
        ("at 2026-03-01T12:00:00Z", "at 2026-03-01T12:00:01Z"),
        ("8,403 events", "8,404 events"),
        ("first", "first\nsecond"),
        ("first\n…\nlast", "first\nlast of all"),
    ],
)
def test_whatever_else_differs_is_told(shown: str, printed: str) -> None:
    """Amounts, counts, the demo's own times, and what a page leaves out without a cut."""
    assert not is_as_shown(shown, printed)


def test_a_page_is_taken_apart(tmp_path: Path) -> None:
    """Commands go on over lines as in a shell; what is not run has its reason; other blocks are faults."""
    file = tmp_path / "page.md"
    file.write_text(PAGE)
    page = read_page(file)
    assert [(step.text, step.shown, step.sql) for step in page.steps] == [
        ("first \\\n    --option", None, False),
        ("second    # and why", None, False),
        ('curl "$api" -d \'{\n  "a": 1}\'', '{"a": 1}', False),
        ("wait", None, False),
        ("SELECT 1\nAS one;", "one", True),
    ]
    assert page.not_run == {21: "it needs two machines"}
    assert [each.partition(":")[0] for each in page.faults] == ["line 24", "line 27"]
