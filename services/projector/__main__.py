"""`python -m projector READ_MODEL` keeps one read model up to date."""

from projector.app import main

main()
