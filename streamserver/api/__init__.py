"""The HTTP server: neko v3's REST routes, the page, health and metrics."""
