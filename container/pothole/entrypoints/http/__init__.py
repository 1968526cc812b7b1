"""The HTTP server: `app` answers, `wsgi` is what gunicorn loads, `launch` is the `serve` command."""
