# One image for ticker and workers. The first stage installs and builds; the second has neither pip's cache nor tools.

FROM python:3.13-slim-bookworm AS build
RUN python -m venv /venv
COPY requirements.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r /requirements.txt
COPY manage.py /app/
COPY tournament /app/tournament
COPY clock /app/clock
COPY ticker /app/ticker
WORKDIR /app
RUN /venv/bin/python -m tournament.static_files.build && /venv/bin/python -m compileall -q /app

FROM python:3.13-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8001
CMD ["python", "-m", "tournament.server", "-b", "0.0.0.0", "-p", "8001", "tournament.asgi:application"]
