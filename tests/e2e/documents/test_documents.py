"""Every command in README.md and docs, run as it is printed on what `make demo` leaves."""

from pathlib import Path

import pytest

from e2e.documents.conftest import Reader
from e2e.documents.pages import Step, read_page
from e2e.documents.printed import CUT, is_as_shown
from e2e.documents.shell import Shell

ROOT = Path(__file__).parents[3]
# Its programs are of several languages, and run by tests/clients.
CLIENTS = ROOT / "docs" / "clients.md"
PAGES = {
    str(file.relative_to(ROOT)): read_page(file)
    for file in (ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {CLIENTS}))
}
WITH_STEPS = [name for name, page in PAGES.items() if page.steps]
CTRL_C = "^C"
# How many blocks of each page can't be run here; each says in a comment what it needs.
NOT_RUN = {
    "README.md": 1,
    "docs/dead-letters.md": 4,
    "docs/deploying.md": 4,
    "docs/parking.md": 2,
    "docs/rebuild.md": 1,
    "docs/recovery.md": 2,
    "docs/security.md": 2,
    "docs/transactions.md": 3,
}


def fault(shell: Shell, step: Step, demo: str) -> str | None:
    """Do a step of a page; return what is wrong with it, None for nothing."""
    if step.file is not None:
        (shell.folder / step.file).write_text(step.text)
        return None
    # Where the page shows that Ctrl-C is pressed, it is once what stands before that has come.
    before, pressed, after = (step.shown or "").partition(CTRL_C)
    if step.text == "make demo":
        # It is what all pages begin with.
        status, printed = 0, demo
    elif step.sql:
        status, printed = shell.till("psql", "--command", step.text)
    else:
        until = (lambda text: is_as_shown(before + CUT, text)) if pressed else None
        status, printed = shell.run(step.text, until)
    shown = before + after
    ends_well = status == 0 or pressed or "till: " in shown or "ERROR: " in shown
    if ends_well and (step.shown is None or is_as_shown(shown, printed)):
        return None
    return f"line {step.line} ({status}): {step.text}\n--- shown\n{step.shown}\n--- printed\n{printed}"


# The first one waits for the demo.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", WITH_STEPS)
def test_a_page_does_what_it_says(reader: Reader, name: str) -> None:
    """Each command of the page runs as it is printed, in order, and prints what the page shows."""
    shell = reader.shell()
    faults = [found for step in PAGES[name].steps if (found := fault(shell, step, reader.demo))]
    assert not faults, "\n\n".join([name, *faults])


def test_no_block_is_left_out_unseen() -> None:
    """Each block of code is fenced and names its language; what can't be run says why, and is counted."""
    assert {name: page.faults for name, page in PAGES.items() if page.faults} == {}
    assert {name: len(page.not_run) for name, page in PAGES.items() if page.not_run} == NOT_RUN
