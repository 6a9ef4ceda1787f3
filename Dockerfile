# One image for every process: `docker run mooring run members-api`, `docker run mooring indexes`.
#
# The base image is pinned by version in both stages. Pin it by digest as well in your own registry:
# the digest of a tag can only be read there, so none is written here.

# ---- build: everything that needs pip stays in this stage ------------------------------------
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH

# Dependencies first: this layer is rebuilt only when a lock changes. Every archive is checked
# against a hash, the build backend included, and only wheels are taken: no compiler, no set-up
# script of a stranger runs here.
WORKDIR /src
COPY requirements-runtime.lock ./
COPY deploy/docker/requirements-build.lock deploy/docker/requirements-build.lock
RUN pip install --require-hashes --only-binary=:all: \
        -r deploy/docker/requirements-build.lock -r requirements-runtime.lock

COPY pyproject.toml README.md ./
COPY contracts contracts
COPY kit kit
COPY programmes programmes
COPY services services
COPY gateway gateway
COPY mooring mooring
# Without build isolation pip uses the hashed backend above instead of fetching another one. The
# backend and pip itself have no business in the finished image.
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip

# ---- the image ------------------------------------------------------------------------------
FROM python:3.11.14-slim-bookworm

# A number, not a name: Kubernetes can check runAsNonRoot only on a number. /var/lib/mooring is the
# only place meant for writing, and only where a volume is mounted there.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/mooring

COPY --from=build /opt/venv /opt/venv
COPY programmes/*.yaml /app/programmes/
COPY deploy/docker/healthcheck.py /opt/mooring/

# Nothing is written beside the code, so the root file system may be read-only. A container listens
# on all its addresses; what may reach them is the business of the network around it.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MOORING_HOST=0.0.0.0 \
    MOORING_PROGRAMME=/app/programmes/five_star.yaml

WORKDIR /app
USER 10001:10001

# Ready, not merely alive: Docker restarts nothing on a failed check, but Compose waits for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "/opt/mooring/healthcheck.py"]

ENTRYPOINT ["mooring"]
CMD ["--help"]
