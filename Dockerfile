# A small image for the API, the worker, the sweeper and the migrator: one image, one command each.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/atomic
ENV PATH=/opt/atomic/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The dependencies first: they change seldom, and this layer is then reused.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
 && pip install -c constraints.txt -r requirements.txt
COPY . .
RUN pip install --no-deps .

FROM python:3.13-slim
# Without a home, a shell or anything to write to.
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
# For the API; worker and sweeper switch it off where they are started.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '3000')}/api/v1/health/live\", timeout=2)"]
CMD ["atomic", "serve"]
