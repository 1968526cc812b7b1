"""This package does jobs once: request, record, lease, checkpoints, worker."""
