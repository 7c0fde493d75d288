/**
 * Notes when each step of a join happens, in `join.marks` (milliseconds of `performance.now()`, the first time each), and
 * says "joined" on the console at its end. Put into the page before its own scripts; it watches and changes nothing.
 */
{
  const LAST = ["dtls connected", "received", "decoded", "shown"];
  /** @type {Record<string, number>} */
  const marks = {};
  globalThis.join = { marks };

  const mark = (name, at = performance.now()) => {
    if (name in marks) return;
    marks[name] = at;
    if (LAST.includes(name) && LAST.every((last) => last in marks)) console.debug("joined");
  };

  addEventListener("click", (event) => event.target.id === "sign-in-submit" && mark("click", event.timeStamp), true);

  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      mark("socket asked for");
      this.addEventListener("open", () => mark("socket open"));
      this.addEventListener("message", ({ data }) => mark(`heard ${JSON.parse(data).event}`));
    }
    send(data) {
      mark(`sent ${JSON.parse(data).event}`);
      super.send(data);
    }
  };

  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      this.addEventListener("iceconnectionstatechange", () => mark(`ice ${this.iceConnectionState}`));
      this.addEventListener("track", ({ track }) => track.kind === "video" && watch(track));
    }
    async setLocalDescription(...args) {
      mark("answer made");
      await super.setLocalDescription(...args);
      const { transport } = this.getReceivers()[0];
      const connected = () => transport.state === "connected" && mark("dtls connected");
      transport.addEventListener("statechange", connected);
      connected();
    }
  };

  /** @param {MediaStreamTrack} track */
  const watch = (track) => {
    mark("offer taken");
    // Frames as they leave the decoder; the element shows them with the display's next picture.
    const frames = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
    void frames.read().then(({ value }) => {
      mark("decoded");
      value?.close();
      void frames.cancel();
    });
    document.querySelector("video").requestVideoFrameCallback((_, frame) => {
      mark("received", frame.receiveTime);
      mark("shown");
    });
  };
}
