"""Jobs done once: request, record, lease, checkpoints, worker."""
