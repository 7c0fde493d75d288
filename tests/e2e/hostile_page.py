"""A page for the shared browser that tries everything a page can to pin and unpin the machine."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PAGE = """<!doctype html><meta charset="utf-8"><title>hostile</title><body><script>
const report = (kind, value) => fetch('/report', {method: 'POST', body: JSON.stringify({kind, value})});
const settled = (promise) => promise.then((answer) => answer.type + ' ' + answer.status, String);
const submit = (method, action) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.name = 'f' + Math.random();
    const form = document.createElement('form');
    Object.assign(form, {method, action, target: frame.name});
    document.body.append(frame, form);
    frame.onload = () => resolve('shown');
    form.submit();
});
const image = (src) => new Promise((resolve) => {
    const made = new Image();
    made.onload = made.onerror = () => resolve('tried');
    made.src = src;
});
const frame = (src, sandbox) => new Promise((resolve) => {
    const made = document.createElement('iframe');
    if (sandbox) made.sandbox = sandbox;
    made.onload = () => resolve('shown');
    made.src = src;
    document.body.append(made);
});
const nameless = (action) => frame('data:text/html,' + encodeURIComponent(
    `<script>fetch(${JSON.stringify(action)}, {method: 'POST', mode: 'no-cors'})</` + `script>`));
const opaque = {method: 'POST', mode: 'no-cors', credentials: 'include'};
const json = {'content-type': 'application/json'};
const attack = async ({number, targets}) => {
    for (const url of targets) {
        for (const [kind, attempt] of Object.entries({
            fetch: () => settled(fetch(url, {method: 'POST'})),
            opaque: () => settled(fetch(url, opaque)),
            quiet: () => settled(fetch(url, {...opaque, referrerPolicy: 'no-referrer'})),
            beacon: async () => String(navigator.sendBeacon(url)),
            form: () => submit('post', url),
            get: () => submit('get', url),
            image: () => image(url),
            frame: () => frame(url),
            nameless: () => nameless(url),
            put: () => settled(fetch(url.replace(/(dis|en)able/, 'leases/evil'),
                {method: 'PUT', body: '{"ttl_seconds": 300}', headers: json})),
            ask: () => settled(fetch(url.replace('/disable', '').replace('/enable', ''))),
        })) {
            const given_up = new Promise((resolve) => setTimeout(resolve, 20000, 'no end'));
            report('attempt', [kind, url, await Promise.race([attempt(), given_up])]);
        }
    }
    report('done', number);
};
(async () => {
    for (let last = 0; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
        const orders = await (await fetch('/orders')).json();
        if (orders.number > last) await attack(orders);
        last = orders.number;
    }
})();
</script>"""


class HostilePage:
    """Serves the page on loopback, tells it what to attack, and keeps what it reports."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self._orders: dict[str, Any] = {"number": 0, "targets": []}
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bodies = {"/": ("text/html", PAGE), "/orders": ("text/json", json.dumps(page._orders))}
                kind, body = bodies.get(self.path, ("text/plain", ""))
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                page.reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def attack(self, targets: Sequence[str]) -> None:
        """Let the page try everything on these addresses, one after the other."""
        self.reports.clear()
        self._orders = {"number": self._orders["number"] + 1, "targets": list(targets)}

    @property
    def done(self) -> bool:
        """Whether it has tried everything."""
        return {"kind": "done", "value": self._orders["number"]} in list(self.reports)

    @property
    def outcomes(self) -> list[tuple[str, str, str]]:
        """What the page saw: kind of attempt, address, result."""
        return [tuple(report["value"]) for report in list(self.reports) if report["kind"] == "attempt"]
