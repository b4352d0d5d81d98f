"""What is told to do about the refusals of operations."""

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import operations.errors
from operations.errors import OperationRefused, Unreachable
from till.advice import ADVICE, advice_on

LIBS = Path(operations.errors.__file__).parents[1]
TREE = {name for name, value in vars(operations.errors).items() if isinstance(value, type)}


def refusals() -> Iterator[tuple[str, set[str]]]:
    """Yield the code and the facts of everything of the tree that operations and the demo raise."""
    for folder in ("operations", "demo"):
        for file in (LIBS / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and is_refusal(node):
                    match node.args:
                        case [ast.Constant(code), _] if isinstance(code, str):
                            yield code, {keyword.arg or "" for keyword in node.keywords}


def is_refusal(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(name):
            return name in TREE
        case ast.Attribute(ast.Call(ast.Name("super")), "__init__"):
            return True
    return False


def test_every_refusal_has_advice_and_no_advice_is_left_over() -> None:
    """The table of advice has the codes that are raised, and no others."""
    assert {code for code, _ in refusals()} == ADVICE.keys()
    assert list(ADVICE) == sorted(ADVICE)


def test_advice_quotes_only_facts_that_are_given() -> None:
    """Wherever a code is raised, it comes with the facts that its advice speaks of."""
    for code, facts in refusals():
        quoted = {name for _, name, _, _ in Formatter().parse(ADVICE[code]) if name}
        assert quoted <= facts, code


def test_advice_is_filled_in() -> None:
    """A fact stands in its place in the advice; a code alone is enough where it quotes none."""
    refused = OperationRefused("no_build", "No build of sales is under way.", read_model="sales")
    assert advice_on(refused) == "`till rebuild sales` begins one."
    assert "till up" in advice_on(Unreachable("Kafka at k:9092 does not answer."))
