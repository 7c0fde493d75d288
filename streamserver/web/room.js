/**
 * What the page knows about the room: who is here, who is in control, the screen, the settings. Events of the server
 * go in, questions are answered; nothing here touches the document.
 * @module
 */

/** @typedef {import("./types.js").SessionData} SessionData */
/** @typedef {import("./types.js").Settings} Settings */

export class Room {
  /** @type {string | null} own session id */
  self = null;
  /** @type {Map<string, SessionData>} every session, connected or not */
  sessions = new Map();
  /** @type {string | null} session id of the one in control */
  controller = null;
  /** @type {import("./types.js").ScreenSize} */
  screen = { width: 1280, height: 720, rate: 30 };
  /** @type {Settings | null} */
  settings = null;
  /** @type {string[]} names of the streams, best first */
  videos = [];
  /** @type {string[]} kinds of our own media that the server takes */ takes = [];
  /** @type {import("./types.js").BrowserState} what the shared browser does */
  browser = "running";
  /** Whether the shared browser crashed and is not back yet. */
  browserCrashed = false;

  /**
   * Take in one event.
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was about the room
   */
  hear(event, payload) {
    switch (event) {
      case "system/init":
        this.#init(payload);
        return true;
      case "system/settings":
        this.settings = payload;
        return true;
      case "session/created":
        this.sessions.set(payload.id, payload);
        return true;
      case "session/deleted":
        this.sessions.delete(payload.id);
        return true;
      case "session/profile": {
        const { id, ...profile } = payload;
        this.#change(id, { profile });
        return true;
      }
      case "session/state": {
        const { id, ...state } = payload;
        this.#change(id, { state });
        return true;
      }
      case "control/host":
        this.controller = payload.has_host ? payload.host_id : null;
        return true;
      case "screen/updated":
        this.screen = { width: payload.width, height: payload.height, rate: payload.rate };
        return true;
      case "browser/state":
        this.#browser(payload.state);
        return true;
      default:
        return false;
    }
  }

  /** @param {import("./types.js").BrowserState} state */
  #browser(state) {
    this.browser = state;
    this.browserCrashed = state === "crashed" || (this.browserCrashed && state !== "running");
  }

  /** @param {import("./types.js").SystemInit} init */
  #init(init) {
    this.self = init.session_id;
    this.sessions = new Map(Object.entries(init.sessions));
    this.controller = init.control_host.has_host ? init.control_host.host_id ?? null : null;
    this.screen = init.screen_size;
    this.settings = init.settings;
    this.videos = init.webrtc?.videos ?? [];
    this.takes = init.webrtc?.takes ?? [];
    // whoever is not told otherwise next finds it running
    this.browser = "running";
  }

  /**
   * @param {string} id
   * @param {Partial<SessionData>} part
   */
  #change(id, part) {
    const session = this.sessions.get(id);
    if (session !== undefined) this.sessions.set(id, { ...session, ...part });
  }

  /** @returns {SessionData | null} own session */
  get me() {
    return this.self === null ? null : this.sessions.get(this.self) ?? null;
  }

  get inControl() {
    return this.self !== null && this.controller === this.self;
  }

  /** @returns {SessionData[]} who is connected: oneself first, then by name */
  get present() {
    return [...this.sessions.values()]
      .filter((session) => session.state.is_connected || session.id === this.self)
      .sort((a, b) => Number(b.id === this.self) - Number(a.id === this.self) || this.name(a.id).localeCompare(this.name(b.id)));
  }

  /** Whether the picture is kept from us because the room is private. */
  get isPrivateForMe() {
    return Boolean(this.settings?.private_mode && !this.me?.profile.is_admin);
  }

  /** @returns {"in-control" | "none" | "take" | "ask" | "admin-take" | "locked"} what we may do about control */
  get control() {
    const profile = this.me?.profile;
    if (this.inControl) return "in-control";
    if (!profile?.can_host || this.isPrivateForMe) return "none";
    if (this.settings?.locked_controls && !profile.is_admin) return "locked";
    if (this.controller === null || this.settings?.implicit_hosting) return "take";
    return profile.is_admin ? "admin-take" : "ask";
  }

  /**
   * Whether a plugin's feature is on for us: unless the room's settings (they do not bind administrators) or our profile
   * turn it off.
   * @param {string} key such as `chat.can_send`
   */
  permits(key) {
    const profile = this.me?.profile;
    const inRoom = profile?.is_admin || (this.settings?.plugins?.[key] ?? true) === true;
    return inRoom && (profile?.plugins?.[key] ?? true) === true;
  }

  /**
   * What a person is called.
   * @param {string} id
   */
  name(id) {
    return this.sessions.get(id)?.profile.name || (id === "API" ? "A program" : id);
  }
}
