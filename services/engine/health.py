"""/metrics, /livez, /readyz and /held on a small HTTP server in a thread of its own, with TLS and a password if so set."""

import base64
import hmac
import ssl
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from services.engine.held_desk import HeldDesk
from services.engine.http_server import REQUEST_S_MAX, BoundedHTTPServer
from services.errors import AssayError, SettingsError
from services.observability.product_label import with_product
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.product import ProductSettings
from services.web.clients import Clients

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 4096
UNKNOWN = 401, b"a user name and a password are needed\n"
FAR = 403, b"without ASSAY_HTTP_PASSWORD this is answered on the same machine alone, and under its own name\n"


class HealthServer:
    """Serves until closed. `ready` and `live` are asked on each request; `ready` answers True, or why not."""

    def __init__(
        self,
        runtime: RuntimeSettings,
        registry: CollectorRegistry,
        ready: Callable[[], bool | str],
        live: Callable[[], bool],
        desk: HeldDesk | None = None,
    ) -> None:
        """Raises AssayError where it cannot listen, SettingsError where password or certificate are not usable."""
        host, port = runtime.http_host, runtime.http_port
        tls, credentials = _tls(runtime), _credentials(runtime)
        registry = with_product(registry, load(ProductSettings).product)
        try:
            self._server = BoundedHTTPServer(
                (host, port), _handler(registry, ready, live, credentials, desk), _clients(runtime)
            )
        except OSError as error:
            raise AssayError(
                f"{host}:{port} cannot be listened on ({error.strerror}): free it, or set ASSAY_HTTP_PORT (0 takes a free one)."
            ) from None
        if tls is not None:
            # the handshake is the handler's, in the request's thread: a silent client delays no other
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        if not is_loopback(host) and (credentials is None or tls is None):
            log.warning("http.open", address=self.address, password=credentials is not None, tls=tls is not None)
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


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_own_name(header: str) -> bool:
    """Whether a Host header, with or without a port, names this machine as itself."""
    host = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    return is_loopback(host.strip("[]"))


def _clients(runtime: RuntimeSettings) -> Clients:
    return Clients(runtime.http_connections_max, runtime.http_client_connections_max)


def _tls(runtime: RuntimeSettings) -> ssl.SSLContext | None:
    certificate_file, key_file = runtime.http_tls_certificate_file, runtime.http_tls_key_file
    if certificate_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"ASSAY_HTTP_TLS_CERTIFICATE_FILE and _KEY_FILE cannot be used ({error.strerror}): check the paths, and that they "
            "belong together."
        ) from None
    return context


def _credentials(runtime: RuntimeSettings) -> bytes | None:
    """What an Authorization header must say (RFC 7617)."""
    if runtime.http_username is None and runtime.http_password is None:
        return None
    if not runtime.http_username or runtime.http_password is None:
        raise SettingsError("ASSAY_HTTP_USERNAME and ASSAY_HTTP_PASSWORD belong together: set both, or neither.")
    pair = f"{runtime.http_username}:{runtime.http_password.get_secret_value()}"
    return b"Basic " + base64.b64encode(pair.encode())


def _body(request: BaseHTTPRequestHandler) -> bytes | None:
    """Of a POST; None unless it is small and JSON, a type that a page in a browser may not send here unasked."""
    length, kind = request.headers.get("Content-Length", ""), request.headers.get("Content-Type", "")
    usable = kind == "application/json" and length.isdecimal() and int(length[:9]) <= BODY_BYTES_MAX
    return request.rfile.read(int(length[:9])) if usable else None


def _handler(
    registry: CollectorRegistry,
    ready: Callable[[], bool | str],
    live: Callable[[], bool],
    credentials: bytes | None,
    desk: HeldDesk | None,
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S_MAX

        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/metrics":
                if not self._known():
                    self._answer(UNKNOWN[0], "text/plain", UNKNOWN[1])
                    return
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, content_type, encode(registry))
            elif self.path in ("/readyz", "/livez"):
                good = (ready if self.path == "/readyz" else live)()
                why = f"no: {good}\n".encode() if isinstance(good, str) else b"no\n"
                self._answer(200 if good is True else 503, "text/plain", b"ok\n" if good is True else why)
            elif self.path == "/held" and desk is not None:
                self._held(desk.shown)
            else:
                self._answer(404, "text/plain", b"there are /metrics, /livez and /readyz\n")

        def do_POST(self) -> None:
            if self.path != "/held" or desk is None:
                self._answer(404, "text/plain", b"there is nothing to change\n")
                return
            body = _body(self)
            if body is None:
                self._answer(400, "text/plain", b"a small JSON object with its type and length is needed\n")
            else:
                self._held(partial(desk.decided, body))

        def _held(self, ask: Callable[[], tuple[int, bytes]]) -> None:
            # a web page can point its own host name at this machine; its requests then carry that name
            here = ip_address(self.client_address[0]).is_loopback and is_own_name(self.headers.get("Host", ""))
            near = credentials is not None or here
            status, body = (ask() if near else FAR) if self._known() else UNKNOWN
            self._answer(status, "application/json" if status not in (401, 403) else "text/plain", body)

        def _known(self) -> bool:
            said = self.headers.get("Authorization", "").encode("latin-1", "replace")
            return credentials is None or hmac.compare_digest(said, credentials)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="assay", charset="UTF-8"')
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
            """Requests are not logged."""

    return Handler
