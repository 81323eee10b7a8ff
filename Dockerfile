# A small image for the API, the worker, the sweeper and the migrator: one image, one command each.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/atomic
ENV PATH=/opt/atomic/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Dependencies first: they change rarely, so this layer is cached.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
 && pip install -c constraints.txt -r requirements.txt
COPY . .
RUN pip install --no-deps .

FROM python:3.13-slim
# A user without a home directory, a shell or writable files.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin atomic
COPY --from=build /opt/atomic /opt/atomic
WORKDIR /app
ENV PATH=/opt/atomic/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ATOMIC_ENV=production \
    HOST=0.0.0.0
USER atomic
EXPOSE 3000
# For the API. compose.yaml disables it for worker and sweeper.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '3000')}/api/v1/health/live\", timeout=2)"]
CMD ["atomic", "serve"]
