# The image of @service@. Made by `python deploy/graph.py` from deploy/docker/service.Dockerfile: edit that one.
#   docker build -f services/@service@/Dockerfile -t switchyard/@service@:dev .     (context: the repository's root)
# PYTHON_IMAGE may be any image with Python 3.11 and its venv module; production pins it by digest.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# The same lines in all five services: built once, and one layer for all of them.
FROM ${PYTHON_IMAGE} AS venv
COPY requirements/service.txt /requirements.txt
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary=:all: -r /requirements.txt \
 && /venv/bin/pip uninstall --quiet --yes pip setuptools

# Byte code is made here, because nothing can be written where it runs.
FROM ${PYTHON_IMAGE} AS code
COPY libs/authz/authz /app/authz
COPY libs/egress/egress /app/egress
COPY libs/schemas/schemas /app/schemas
COPY libs/chassis/chassis /app/chassis
COPY protos/switchyard /app/switchyard
COPY protos/flagd /app/flagd
COPY services/@service@/@service@ /app/@service@
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${PYTHON_IMAGE}
COPY --from=venv /venv /venv
COPY --from=code /app /app
# For what a service keeps in files, where a volume is mounted; nothing else can be written.
RUN install -d -o 10001 -g 10001 -m 0700 /data
ARG BUILD_ID=development
LABEL org.opencontainers.image.title="switchyard/@service@" \
      org.opencontainers.image.revision="${BUILD_ID}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=1 \
    SWITCHYARD_PROFILE=production \
    SWITCHYARD_BUILD_ID=${BUILD_ID} \
    SWITCHYARD_HTTP_HOST=0.0.0.0 \
    SWITCHYARD_GRPC_HOST=0.0.0.0 \
    @SERVICE@_HTTP_PORT=@http@ \
    @SERVICE@_GRPC_PORT=@grpc@
WORKDIR /app
USER 10001:10001
EXPOSE @http@ @grpc@
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-I", "-S", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', @http@, timeout=2); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "@service@"]
CMD ["serve"]
