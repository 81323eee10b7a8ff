"""The gunicorn server: configuration, worker class, request reader, malformed requests."""
