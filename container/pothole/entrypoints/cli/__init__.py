"""The `pothole` command."""
