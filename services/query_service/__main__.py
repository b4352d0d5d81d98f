"""`python -m query_service` runs one query service."""

from query_service.app import main

main()
