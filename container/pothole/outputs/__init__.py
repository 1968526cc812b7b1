"""A job gives outputs: the marked video, the report, the contact sheet."""
