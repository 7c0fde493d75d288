"""`/ws`: one version 2 client, from its handshake to its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

from pydantic import JsonValue
from starlette.websockets import WebSocket

from streamserver.legacy import to_client, to_server
from streamserver.legacy.inner import InnerApi
from streamserver.legacy.to_client import ToClient
from streamserver.logs import get_logger
from streamserver.sessions.manager import SessionManager
from streamserver.sessions.model import Session
from streamserver.websocket.client import Client
from streamserver.websocket.endpoint import WebSocketEndpoint
from streamserver.websocket.messages import BadMessage, ClientMessage
from streamserver.websocket.peer import WebSocketPeer, encode_text

MAX_BANNED = 10_000
"""Addresses that are shut out at a time; the oldest is let in again."""

NO_TOKEN = "token not found - make sure you are not using Cookie auth on the server"  # noqa: S105 - a sentence
REQUEST = ClientMessage("signal/request", {"video": {}, "audio": {}, "auto": False})
"""Said for the client as soon as it is in: version 2 has no such message."""

log = get_logger("legacy")


class LegacyEndpoint:
    """Logs a client in, translates both ways, and forgets its session when it goes."""

    def __init__(
        self, endpoint: WebSocketEndpoint, sessions: SessionManager, prefix: str, *, file_transfer: bool
    ) -> None:
        """`endpoint` serves the messages; `prefix`: `server.path_prefix` without the last slash."""
        self._endpoint = endpoint
        self._sessions = sessions
        self._prefix = prefix
        self._file_transfer = file_transfer
        self._banned: dict[str, None] = {}
        self._addresses: dict[str, str] = {}

    def is_banned(self, address: str) -> bool:
        """Tell whether clients from this address are refused."""
        return address in self._banned

    async def __call__(self, websocket: WebSocket) -> None:
        """Serve one WebSocket until it is closed."""
        await websocket.accept()
        address = websocket.client.host if websocket.client else ""
        if self.is_banned(address):
            await self._refuse(websocket, "banned ip", "you are banned")
            return
        inner = InnerApi(websocket.app.state.serve, websocket.scope, self._prefix)
        credentials: JsonValue = {
            "username": websocket.query_params.get("username", ""),
            "password": websocket.query_params.get("password", ""),
        }
        answer = await inner.call("POST", "/api/login", credentials)
        body = answer.json
        token = str(body.get("token") or "") if isinstance(body, dict) else ""
        if answer.status != 200 or not token:
            reason = NO_TOKEN if answer.status == 200 else f"error response from backend: {answer.message}"
            if answer.status == 200 and isinstance(body, dict):
                self._forget(str(body.get("id", "")))
            await self._refuse(websocket, "couldn't create a new session", reason)
            return
        session = self._sessions.by_token(token)
        if session is None:
            await self._refuse(websocket, "couldn't dial to the remote backend", "session not found")
            return
        self._addresses[session.id] = address
        try:
            await self._serve(websocket, session, _Conversation(self, inner, session, token))
        finally:
            self._addresses.pop(session.id, None)
            self._forget(session.id)

    def ban(self, session_id: str) -> None:
        """Shut out the address of a version 2 client that is here now."""
        if address := self._addresses.get(session_id):
            self._banned[address] = None
            while len(self._banned) > MAX_BANNED:
                del self._banned[next(iter(self._banned))]
            log.info("address banned", session=session_id)

    async def dispatch(self, client: Client, message: ClientMessage) -> None:
        """Handle a message of version 3. Raises `BadMessage`."""
        await self._endpoint.dispatch(client, message)

    def _forget(self, session_id: str) -> None:
        """End the session: version 2 clients log in anew each time."""
        if self._sessions.get(session_id) is not None:
            self._sessions.delete(session_id)

    async def _serve(self, websocket: WebSocket, session: Session, conversation: _Conversation) -> None:
        translator = ToClient(session.id, file_transfer=self._file_transfer)

        def encode(event: str, payload: object) -> Iterable[str]:
            return [encode_text(fields) for fields in translator.translate(event, payload)]

        peer = self._endpoint.make_peer(websocket, session.id, encode)

        async def handle(client: Client, text: str) -> str:
            return await conversation.handle(client, peer, translator, text)

        await self._endpoint.serve(websocket, session, peer, handle, first=REQUEST)

    async def _refuse(self, websocket: WebSocket, title: str, message: str) -> None:
        log.debug("version 2 client refused", reason=message)
        told = encode_text({"event": "system/disconnect", "title": title, "message": message})
        peer = self._endpoint.make_peer(websocket, "", lambda _event, _payload: [told])
        peer.close(message)
        await peer.write()


class _Conversation:
    """What one client says, carried out."""

    def __init__(self, endpoint: LegacyEndpoint, inner: InnerApi, session: Session, token: str) -> None:
        self._endpoint = endpoint
        self._inner = inner
        self._session = session
        self._token = token

    async def handle(self, client: Client, peer: WebSocketPeer, translator: ToClient, text: str) -> str:
        """Do what a message says and return its event; raises `BadMessage`."""
        event, fields = _parse(text)
        actions = to_server.translate(event, fields, own_id=self._session.id, own_name=translator.name)
        for action in actions:
            match action:
                case to_server.Say(said, payload):
                    await self._endpoint.dispatch(client, ClientMessage(said, payload))
                case to_server.Echo(echoed, values):
                    peer.send_text(encode_text({"event": echoed, **values}))
                case to_server.Ban(banned):
                    # neko bans for anybody who asks
                    if self._session.profile.is_admin:
                        self._endpoint.ban(banned)
                case to_server.Ask():
                    await self._ask(action, peer)
        return event

    async def _ask(self, action: to_server.Ask, peer: WebSocketPeer) -> None:
        answer = await self._inner.call(action.method, action.path, action.body, token=self._token)
        if answer.status >= 400:
            fields = {"title": "backend response error", "message": answer.message}
            peer.send_text(encode_text({"event": "system/error", **fields}))
        elif action.answer == "screen/configurations" and isinstance(answer.json, list):
            sizes = [size for size in answer.json if isinstance(size, dict)]
            peer.send_text(encode_text(to_client.configurations(sizes)))
        elif action.answer and isinstance(answer.json, dict):
            peer.send_text(encode_text({"event": action.answer, **answer.json}))
        await asyncio.sleep(0)


def _parse(text: str) -> tuple[str, dict[str, JsonValue]]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("not JSON") from None
    event = message.get("event") if isinstance(message, dict) else None
    if not isinstance(event, str):
        raise BadMessage("no event name")
    return event, message
