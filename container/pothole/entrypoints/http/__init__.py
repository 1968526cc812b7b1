"""In this package `app` answers, `wsgi` is what gunicorn loads, and `launch` starts both servers."""
