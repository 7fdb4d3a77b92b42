# Assay on CUDA. From the repository's root: docker build -f deploy/containers/cuda.Dockerfile -t assay:cuda .
# The host has a driver (580 or newer) and the NVIDIA container toolkit. CUDA's libraries are packages of the lock as all else is: those
# that ONNX Runtime asks for, which a base image of NVIDIA's has among many others. For the rest see Dockerfile.
FROM python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3 AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY models models
COPY services services
COPY deploy deploy
COPY docs/benchmarks.jsonl docs/benchmarks.jsonl
COPY docs/examples/tutorial/stream.py docs/examples/tutorial/stream.py
# onnxruntime-gpu in place of onnxruntime: never both.
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --no-deps --requirement deploy/locks/build.txt \
    && /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /opt/dist . \
    && python -m venv --without-pip /opt/assay \
    && /opt/build/bin/pip --python /opt/assay/bin/python install --no-compile --require-hashes --no-deps --requirement deploy/locks/image-gpu.txt \
    && /opt/build/bin/pip --python /opt/assay/bin/python install --no-compile --no-deps --no-index /opt/dist/*.whl \
    && python deploy/containers/trim.py /opt/assay/lib/python3.*/site-packages \
    && find /opt/assay -name '*.py' -exec touch --date=@1700000000 {} +

FROM python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3
LABEL org.opencontainers.image.title="Assay on CUDA" org.opencontainers.image.licenses="Apache-2.0 AND LicenseRef-NVIDIA-Proprietary"
RUN useradd --uid 10001 --create-home --home-dir /assay assay \
    && install --directory --owner assay /var/lib/assay
COPY --from=build /opt/assay /opt/assay
WORKDIR /assay
COPY deploy/containers/warm.py deploy/containers/entrypoint.sh deploy/containers/
# NVIDIA_*: what the container toolkit hands in.
ENV PATH=/opt/assay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    NUMBA_CPU_NAME=generic \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ASSAY_DEVICE=cuda \
    ASSAY_HTTP_HOST=0.0.0.0 \
    ASSAY_LOG_FORMAT=json \
    ASSAY_SNAPSHOT_URL=/var/lib/assay/snapshots
RUN for part in bundles features keys; do \
        ln -s /opt/assay/lib/python3.*/site-packages/services/installed/deploy/$part deploy/$part; \
    done \
    && PYTHONDONTWRITEBYTECODE='' NUMBA_CACHE_DIR=/opt/numba python deploy/containers/warm.py
USER 10001
EXPOSE 9464
ENTRYPOINT ["/assay/deploy/containers/entrypoint.sh"]
CMD ["python", "-m", "services.scorer"]
