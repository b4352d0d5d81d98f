"""`python -m projector READ_MODEL…` keeps one read model, or several, up to date."""

from projector.app import main

main()
