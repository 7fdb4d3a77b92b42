"""/metrics, /livez and /readyz on a small HTTP server in a thread of its own."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from services.runtime.errors import AssayError


class HealthServer:
    """Serves until closed. `ready` and `live` are asked on each request."""

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, ready: Callable[[], bool], live: Callable[[], bool]
    ) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(registry, ready, live))
        except OSError as error:
            raise AssayError(
                f"{host}:{port} cannot be listened on ({error.strerror}): free it, or set ASSAY_HTTP_PORT (0 takes a free one)."
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """host:port."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(
    registry: CollectorRegistry, ready: Callable[[], bool], live: Callable[[], bool]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, content_type, encode(registry))
            elif self.path in ("/readyz", "/livez"):
                good = (ready if self.path == "/readyz" else live)()
                self._answer(200 if good else 503, "text/plain", b"ok\n" if good else b"no\n")
            else:
                self._answer(404, "text/plain", b"there are /metrics, /livez and /readyz\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
            """Requests are not news."""

    return Handler
