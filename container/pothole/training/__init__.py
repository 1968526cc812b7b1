"""This package trains models, measures them, and collects pictures for them."""
