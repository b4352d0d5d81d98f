"""Runs a service of a build that has tallies beside orders.

python tests/e2e/tally_services.py SERVICE [ARGUMENT…]
"""

import importlib
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from commands import CONTEXTS
from harness.tallies import TALLIES

if __name__ == "__main__":
    CONTEXTS[TALLIES.name] = TALLIES
    del sys.argv[0]
    importlib.import_module(f"{sys.argv[0]}.app").main()
