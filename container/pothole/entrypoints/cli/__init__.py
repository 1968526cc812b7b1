"""This package is the `pothole` command, a module a subcommand."""
