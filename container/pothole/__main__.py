"""`python -m pothole` is the `pothole` command."""

from pothole.entrypoints.cli.main import main

main()
