# ORAC and, from the base image, Ollama with CUDA. docs/how-to/docker.md explains how to build and run it.
#
# The base image brings what computes on the GPU:
#   dustynv/ollama:r36.4.3        Jetson Orin with JetPack 6 (the default)
#   ghcr.io/nvidia-ai-iot/ollama  Jetson Thor: the tag r38.2.arm64-sbsa-cu130-24.04, or a newer one
#   ollama/ollama                 PCs with an NVIDIA card, and CPUs
#   python:3.11-slim, debian, …   CPU only and without Ollama: llama.cpp alone serves the models
# It has to be Debian or Ubuntu with glibc 2.28 or newer. Its Python, if it has one, is not used.
#
# To build Ollama from source instead, put a stage before the last one, on an image of yours with Go, cmake and the CUDA
# toolkit of your JetPack, take plain Ubuntu for BASE_IMAGE, and copy from it in the last stage:
#   FROM my-cuda-and-go AS ollama
#   ADD https://github.com/ollama/ollama.git#v0.17.1 /src
#   WORKDIR /src
#   RUN cmake -B build && cmake --build build --parallel && cmake --install build --prefix /usr \
#       && go build -trimpath -o /usr/bin/ollama .
#   …
#   COPY --from=ollama /usr/bin/ollama /usr/bin/ollama
#   COPY --from=ollama /usr/lib/ollama /usr/lib/ollama
ARG BASE_IMAGE=dustynv/ollama:r36.4.3

FROM ghcr.io/astral-sh/uv:0.13.8 AS uv

FROM buildpack-deps:bookworm-curl AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/orac \
    UV_PYTHON=3.12 \
    UV_PYTHON_INSTALL_DIR=/opt/python \
    UV_PYTHON_PREFERENCE=only-managed
# `jetson` adds the client of jtop, under the AGPL.
ARG ORAC_EXTRA=""
WORKDIR /src
RUN uv python install --no-bin "${UV_PYTHON}"
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev ${ORAC_EXTRA:+--extra} ${ORAC_EXTRA} --no-install-project
COPY . .
RUN uv sync --frozen --no-dev ${ORAC_EXTRA:+--extra} ${ORAC_EXTRA} --no-editable

# Which base image holds is the builder's choice.
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}

# The device files of the GPU belong to these groups. Files on the host go by number, so the numbers have to be the
# host's: `getent group video render` prints them. (`group_add` of docker-compose.yml does the same for a built image.)
ARG VIDEO_GID=44
ARG RENDER_GID=104
USER 0
RUN groupadd --force video && groupmod --non-unique --gid "${VIDEO_GID}" video \
    && groupadd --force render && groupmod --non-unique --gid "${RENDER_GID}" render \
    && groupadd --gid 10001 orac \
    && useradd --uid 10001 --gid orac --groups video,render --no-create-home --home-dir /var/lib/orac \
               --shell /usr/sbin/nologin orac \
    && install --directory --owner=orac --group=orac --mode=0700 /var/lib/orac \
    && install --directory --mode=0755 /etc/orac /models/gguf

COPY --from=build /opt/python /opt/python
COPY --from=build /opt/orac /opt/orac
COPY packaging/container/orac.toml /etc/orac/orac.toml

# Base images tell Ollama to listen everywhere and to keep its models in a place of theirs.
# ORAC_MANIFEST is for commands that are run beside the service, with `docker exec`.
ENV HOME=/var/lib/orac \
    OLLAMA_HOST=127.0.0.1:11434 \
    OLLAMA_MODELS=/var/lib/orac/ollama \
    ORAC_MANIFEST=/etc/orac/orac.toml \
    ORAC_STATE_DIR=/var/lib/orac/state \
    PATH=/opt/orac/bin:$PATH

USER 10001
WORKDIR /var/lib/orac
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/opt/orac/bin/orac", "doctor", "--quick", "--server"]
ENTRYPOINT ["/opt/orac/bin/orac"]
CMD ["serve", "--host", "0.0.0.0", "--manifest", "/etc/orac/orac.toml"]
