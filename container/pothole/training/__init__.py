"""Training (`train`), its data and losses, and the figures (`evaluate`)."""
