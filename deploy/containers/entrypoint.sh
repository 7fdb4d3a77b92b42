#!/bin/sh
# numba reads its cache only where it may also write, and a container's own files are read-only: so it gets a copy.
set -eu
if [ -d /opt/numba ]; then
    mkdir -p "$NUMBA_CACHE_DIR"
    cp -R /opt/numba/. "$NUMBA_CACHE_DIR"
fi
exec "$@"
