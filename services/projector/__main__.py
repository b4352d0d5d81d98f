"""`python -m projector READ_MODEL` keeps one read model up to date."""

from __future__ import annotations

from projector.app import main

main()
