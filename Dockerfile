# The streaming browser as an image: build it with scripts/image, run it as docs/container.md says.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

# What scripts/setup installs on a machine, from the same list; tini reaps what a browser leaves and passes signals on.
COPY scripts/setup /opt/catnap/source/scripts/
RUN set -eu; \
    export DEBIAN_FRONTEND=noninteractive; \
    packages=$(bash /opt/catnap/source/scripts/setup --print-runtime-packages); \
    apt-get update -qq; \
    apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-unsafe-io $packages tini >/dev/null; \
    apt-get clean; \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/cache/debconf/*-old

# A build behind a proxy that signs its own certificates lends them, and pip's settings, for this step: scripts/image.
COPY scripts/locked-requirements /opt/catnap/source/scripts/
COPY pyproject.toml requirements.lock /opt/catnap/source/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    set -eu; \
    cd /opt/catnap/source; \
    python3 -m venv /opt/catnap/venv; \
    python3 scripts/locked-requirements serve setuptools >/tmp/requirements; \
    /opt/catnap/venv/bin/pip install -q --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/requirements; \
    rm /tmp/requirements

# Files are root's and the server is not root: a browser that was taken over cannot change what starts next.
COPY README.md LICENSE /opt/catnap/source/
COPY streamserver /opt/catnap/source/streamserver
COPY plugins /opt/catnap/source/plugins
COPY --chmod=0755 scripts/image-health /usr/local/bin/catnap-health
COPY config/neko.yaml /etc/neko/neko.yaml
RUN set -eu; \
    /opt/catnap/venv/bin/pip install -q --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation \
        /opt/catnap/source; \
    /opt/catnap/venv/bin/pip uninstall -q -y setuptools pip; \
    rm -rf /opt/catnap/source; \
    ln -s /opt/catnap/venv/bin/catnap /usr/local/bin/catnap; \
    useradd --uid 1000 --create-home --home-dir /var/lib/catnap --shell /usr/sbin/nologin catnap; \
    install -d -o catnap -g catnap -m 0711 /run/catnap; \
    install -d -o catnap -g catnap -m 0700 /var/lib/catnap/profile; \
    install -d -m 1777 /tmp/.X11-unix

ENV LANG=C.UTF-8 \
    NEKO_SERVER_BIND=0.0.0.0:8080 \
    NEKO_SERVER_RUN_DIR=/run/catnap \
    NEKO_BROWSER_PROFILE_DIR=/var/lib/catnap/profile
USER catnap
WORKDIR /var/lib/catnap
VOLUME ["/var/lib/catnap/profile"]
EXPOSE 8080/tcp 59000/udp 59000/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["catnap-health"]
ENTRYPOINT ["/usr/bin/tini", "--", "catnap"]
CMD ["serve", "--config", "/etc/neko/neko.yaml"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="catnap" \
      org.opencontainers.image.description="A shared browser that people reach over WebRTC and that costs nothing while nobody uses it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
