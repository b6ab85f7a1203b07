# The service as an image: one virtual environment on the official Python image, and nothing that could build or install more.
#
#   docker build --tag driftwarden .
#
# Behind a proxy that re-signs TLS, or with a package index of one's own (neither ends up in the image):
#   docker build --secret id=ca-certificates,src=/etc/ssl/certs/ca-certificates.crt --secret id=pip.conf,src=pip.conf .
#
# The tag moves with Python's and Debian's security fixes. For a release that can be built again, add the digest:
#   --build-arg PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie@sha256:...
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie


FROM ${PYTHON_IMAGE} AS dependencies
# Build tools come by digest as the dependencies do (those are in uv.lock): wheels for x86_64 and aarch64 only.
RUN --mount=type=secret,id=ca-certificates --mount=type=secret,id=pip.conf \
    printf '%s\n' > /tmp/tools.txt \
        'uv==0.13.8 --hash=sha256:e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984 --hash=sha256:5337c30bb893b4f9ce0ceb921ba2da0d13f649da644f40ad3bef84083bef0203' \
        'hatchling==1.33.0 --hash=sha256:415290b84f464d2884303fca8974d38e7b85579069fab02a15db0828fbb1446d' \
        'packaging==26.3 --hash=sha256:d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c' \
        'pathspec==1.1.1 --hash=sha256:a00ce642f577bf7f473932318056212bc4f8bfdf53128c78bbd5af0b9b20b189' \
        'pluggy==1.7.0 --hash=sha256:7dd7b0d8832ba3cb632c306926ded123429211b83641b35dc5c41ad2d34f9bec' \
        'tomlkit==0.15.2 --hash=sha256:05562412163a3037b94497385fb7f9204c637bc605af7a48199e41cf2272f437' \
        'trove-classifiers==2026.9.21.13 --hash=sha256:8b1ff4f9c191b1040b71c37f1e445ab99732911e3cd91de52838453a854d7a17' \
    && { [ ! -f /run/secrets/ca-certificates ] || export PIP_CERT=/run/secrets/ca-certificates; } \
    && PIP_CONFIG_FILE=/run/secrets/pip.conf \
        python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/tools.txt
ENV UV_PROJECT_ENVIRONMENT=/opt/driftwarden \
    UV_PYTHON=/usr/local/bin/python \
    UV_PYTHON_DOWNLOADS=never \
    UV_NO_CACHE=1
WORKDIR /source
COPY pyproject.toml uv.lock ./
# The test suites inside wheels are a tenth of the environment, and nothing imports them. Bytecode is made here because the
# running container cannot write it; it is not checked against its source, which cannot change either.
# uv leaves lock files that everybody may write to.
RUN --mount=type=secret,id=ca-certificates \
    { [ ! -f /run/secrets/ca-certificates ] || export SSL_CERT_FILE=/run/secrets/ca-certificates; } \
    && uv sync --frozen --no-dev --no-install-project --no-build \
    && find /opt/driftwarden/lib -type d -name tests -path '*/site-packages/*' -prune -exec rm -r {} + \
    && rm -f /opt/driftwarden/.lock \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/driftwarden/lib


FROM dependencies AS project
COPY . .
# Beside the dependencies, not among them: a layer of its own, so that a new version of ours is a small download.
RUN uv build --wheel --no-build-isolation --offline --out-dir /tmp/dist \
    && uv pip install --python /opt/driftwarden/bin/python --prefix /project --no-deps --offline /tmp/dist/*.whl \
    && rm -f /project/.lock \
    && python -m compileall -q --invalidation-mode unchecked-hash /project/lib


FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Driftwarden" \
      org.opencontainers.image.description="Drift detection and model integrity for models on Kubernetes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base image's installer goes: what runs here is decided when the image is built.
# The user has a name for the sake of programs that ask for it; Kubernetes checks `runAsNonRoot` by the number.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip \
    && echo 'driftwarden:x:65532:65532::/var/lib/driftwarden:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'driftwarden:x:65532:' >> /etc/group \
    && mkdir -m 0700 /var/lib/driftwarden \
    && chown 65532:65532 /var/lib/driftwarden
COPY --from=dependencies /opt/driftwarden /opt/driftwarden
COPY --from=project /project /opt/driftwarden
# The standard library comes without bytecode; one run as root leaves it for the modules that the service loads.
RUN /opt/driftwarden/bin/driftwarden --version
ENV PATH=/opt/driftwarden/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DRIFT_HTTP__HOST=0.0.0.0 \
    DRIFT_STORE__EMBEDDED_DIRECTORY=/var/lib/driftwarden
USER 65532:65532
WORKDIR /var/lib/driftwarden
# The embedded store's data, unless DRIFT_STORE__URL names a store elsewhere. All else may be read-only.
VOLUME /var/lib/driftwarden
EXPOSE 8080
# It listens to whoever reaches that, so it does not start before it is told who its callers are (docs/security.md).
STOPSIGNAL SIGTERM
# Alive, not ready: an engine that restarts what is unhealthy would not mend the store by it. Kubernetes ignores this line.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('DRIFT_HTTP__PORT', '8080')), timeout=3); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["driftwarden"]
CMD ["serve"]
