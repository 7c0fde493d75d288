"""Retakes the pictures of the documentation: `python -m tests.e2e.pictures` (as root, like the tests)."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .page import Page
from .running_server import running_server
from .viewer import person

IMAGES = Path(__file__).parents[2] / "docs" / "images"

ARTICLE = """<!doctype html><meta charset="utf-8"><title>How cats sleep</title>
<style>
body{margin:0;font:18px/1.6 "Noto Sans",sans-serif;color:#23303d;background:#fbfaf7}
header{height:190px;display:flex;align-items:end;
 background:linear-gradient(160deg,#f3b26b,#d9734e 55%,#5a4a78)}
h1{margin:0 0 18px 90px;color:#fff;font-size:46px;font-weight:600}
main{display:grid;grid-template-columns:1.6fr 1fr;gap:60px;max-width:1080px;margin:28px 90px}
aside{background:#fff;border:1px solid #e5e0d8;border-radius:10px;padding:4px 22px}
input{width:100%;box-sizing:border-box;font:inherit;padding:10px 14px;
 border:2px solid #d9734e;border-radius:8px}
</style><header><h1>How cats sleep</h1></header><main><div>
<input id="q" placeholder="Search this page" autofocus>
<p>A cat sleeps for twelve to sixteen hours a day, most of it lightly. Its ears go on turning
towards every sound, and it is on its feet within a fraction of a second
when something worth getting up for comes along.</p>
<p>That is the whole trick: resting costs almost nothing, and waking up is not something
anybody has to wait for.</p>
</div><aside><p><b>In short</b></p><p>12–16 hours a day</p><p>Three quarters of it light sleep</p>
<p>Awake before you notice</p></aside></main>"""


@contextlib.contextmanager
def article() -> Iterator[str]:
    """Serve something to read on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(ARTICLE.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/how-cats-sleep"
    finally:
        server.shutdown()
        server.server_close()


async def say(page: Page, text: str) -> None:
    """Write something in the chat."""
    await page.tab.get_by_label("Message to everybody here").fill(text)
    await page.press("Send")
    await page.reads(text)


async def take(directory: Path) -> None:
    """Take every picture."""
    with article() as url, running_server(browser={"url": url}) as server:
        async with person() as ann_tab, person(width=390, height=844, dark=True) as bob_tab:
            ann, bob = await Page.open(ann_tab, server.url), await Page.open(bob_tab, server.url)
            await ann_tab.screenshot(path=directory / "sign-in.png")
            await ann.sign_in("Ann", "test-admin")
            await bob.sign_in("Bob", "test-user")
            await ann.sees_picture()
            await bob.sees_picture()
            await ann.take_control()
            await ann.click_at(400, 320)
            await ann_tab.keyboard.type("light sleep")
            await ann_tab.mouse.move(*await ann.point(640, 2))
            for page in (bob, ann):
                await page.press("people here")
                await page.tab.get_by_role("tab", name="Chat").click()
            await say(bob, "Three quarters of it is light sleep, it says.")
            await say(ann, "Same as me on Mondays.")
            await bob.reads("on Mondays")
            await ann_tab.wait_for_timeout(1500)
            await ann_tab.screenshot(path=directory / "in-control.png")
            await bob_tab.screenshot(path=directory / "watching-phone.png")
            server.stop()
            await ann.reads("econnecting", within=20)
            await ann_tab.wait_for_timeout(500)
            await ann_tab.screenshot(path=directory / "reconnecting.png")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES))
