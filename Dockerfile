# ORAC on a CPU, for a first look. There are no access tokens yet: publish the port on loopback only.
#   docker build -t orac .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/models/gguf:/models/gguf:ro" orac
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/orac && /opt/orac/bin/pip install --no-cache-dir .

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home orac
COPY --from=build /opt/orac /opt/orac
USER 10001
EXPOSE 8000
ENTRYPOINT ["/opt/orac/bin/orac"]
CMD ["serve", "--host", "0.0.0.0", "--demo"]
