"""neko's v3 messages over `/api/ws`."""
