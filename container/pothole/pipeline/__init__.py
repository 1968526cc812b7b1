"""This package runs the stages of a job side by side, and cuts its work into segments."""
