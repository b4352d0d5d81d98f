"""`python -m command_service` runs one command service."""

from command_service.app import main

main()
