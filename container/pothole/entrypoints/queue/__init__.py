"""Videos come from a queue of SQS: a message each, worked on once, deleted when its outcome is final."""
