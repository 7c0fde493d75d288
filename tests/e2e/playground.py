"""A page for the shared browser that tells the test what a person did to it, and plays a tone on F9."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PAGE = b"""<!doctype html><meta charset="utf-8"><title>playground</title>
<style>body{margin:0;font:24px sans-serif;background:#fff}
input,button{position:absolute;left:100px;width:600px;height:80px;font-size:32px}
input{top:100px}button{top:300px}</style>
<input id="field" autofocus><button id="button">press</button>
<script>
const report = (kind, value) => fetch('/report', {method: 'POST', body: JSON.stringify({kind, value})});
const centre = (element) => {
    const box = element.getBoundingClientRect();
    return [screenX + (outerWidth - innerWidth) / 2 + box.x + box.width / 2,
            screenY + outerHeight - innerHeight + box.y + box.height / 2];
};
report('loaded', {});
new ResizeObserver(() => report('places', {field: centre(field), button: centre(button)}))
    .observe(document.body);
addEventListener('resize', () => report('resized', innerWidth + 'x' + innerHeight));
field.addEventListener('input', () => report('typed', field.value));
button.addEventListener('click', () => report('clicked', 'button'));
let sound;
addEventListener('keydown', (event) => {
    if (event.key === 'F9') {
        sound ??= new AudioContext();
        const tone = new OscillatorNode(sound, {frequency: 1000});
        tone.connect(new GainNode(sound, {gain: 0.5})).connect(sound.destination);
        tone.start();
        tone.stop(sound.currentTime + 20);
        report('playing', sound.state);
    }
});
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', async (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    report('dropped', [event.target.id, file.name, await file.text()]);
});
addEventListener('wheel', (event) => report('wheel', Math.sign(event.deltaY)));
</script>"""


class Playground:
    """Serves the page at an address of this machine and keeps what it reports."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.reports: list[dict[str, Any]] = []
        playground = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/" else 404)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                if self.path == "/":
                    self.wfile.write(PAGE)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                playground.reports.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
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
        address, port = self._server.server_address[:2]
        return f"http://{address!s}:{port}/"

    def place(self, element: str) -> tuple[float, float]:
        """Return where on the shared screen the middle of `field` or `button` is."""
        x, y = self.of("places")[-1][element]
        return x, y

    def of(self, kind: str) -> list[Any]:
        """Return the reported values of one kind, oldest first."""
        return [report["value"] for report in self.reports if report["kind"] == kind]
