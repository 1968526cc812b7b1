"""This package finds objects in pictures."""
