# syntax=docker/dockerfile:1
# The call server and its worker. What it needs besides: a database, and a folder at /var/lib/voiceapp.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- everything is made here, and nothing that makes it gets any further ----------------------------
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
WORKDIR /srv/voiceapp
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install --quiet --only-binary=:all: --no-compile -r requirements.txt
COPY manage.py ./
COPY calls ./calls
COPY voiceapp ./voiceapp
COPY static ./static
COPY templates ./templates
COPY deploy/start deploy/alive.py deploy/
# A root that nobody may write to holds no byte code later.
RUN /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib calls voiceapp
RUN NO_BOOTSTRAP=1 VAR_DIR=/tmp/var STATIC_ROOT=/srv/static /opt/venv/bin/python manage.py collectstatic --no-input --verbosity 0
# The embedded engines have their data: a network, a dictionary, voices.
RUN NO_BOOTSTRAP=1 VAR_DIR=/tmp/var /opt/venv/bin/python deploy/alive.py --engines

# --- what runs ----------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 voiceapp \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin voiceapp \
    && install -d -o voiceapp -g voiceapp -m 0700 /var/lib/voiceapp
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv /srv
WORKDIR /srv/voiceapp
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NO_BOOTSTRAP=1 \
    ENV_FILE=/dev/null \
    STATIC_ROOT=/srv/static \
    VAR_DIR=/var/lib/voiceapp
USER 10001:10001
VOLUME ["/var/lib/voiceapp"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "deploy/alive.py"]
ENTRYPOINT ["deploy/start"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
