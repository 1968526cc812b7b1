"""What a job gives: the marked video, the report, the contact sheet."""
