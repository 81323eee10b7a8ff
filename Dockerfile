# A small image for the API, the worker, the sweeper and the migrator: one image, one command each.

# A tag, or what you have tested: python:3.13-slim@sha256:… (docs/operations.md).
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# Two environments, so that the image does not contain what builds the package.
RUN python -m venv /opt/build && python -m venv /opt/atomic
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Dependencies first: they change rarely, so this layer is cached. Only wheels: building another file
# would download what is not pinned.
COPY requirements requirements
RUN /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt \
 && /opt/atomic/bin/pip install --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheels . \
 && /opt/atomic/bin/pip install --no-deps --no-index /tmp/wheels/*.whl

FROM ${PYTHON_IMAGE}
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
