"""The streaming browser: one Chromium that many people watch and drive over WebRTC."""
