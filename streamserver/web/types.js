/**
 * The shapes that travel between the page and the server, by the names of the protocol (neko v3).
 * Only types: nothing here runs.
 * @module
 */

/**
 * What a member may do.
 * @typedef {object} Profile
 * @property {string} name
 * @property {boolean} is_admin
 * @property {boolean} can_login
 * @property {boolean} can_connect
 * @property {boolean} can_watch
 * @property {boolean} can_host
 * @property {boolean} can_share_media
 * @property {boolean} can_access_clipboard
 * @property {boolean} sends_inactive_cursor
 * @property {boolean} can_see_inactive_cursors
 * @property {Record<string, unknown> | null} plugins
 */

/**
 * @typedef {object} SessionState
 * @property {boolean} is_connected
 * @property {boolean} is_watching
 */

/** @typedef {{id: string, profile: Profile, state: SessionState}} SessionData */

/** @typedef {{width: number, height: number, rate: number}} ScreenSize */

/** @typedef {"starting" | "running" | "crashed" | "waiting" | "stopped"} BrowserState */

/** @typedef {{id: string, has_host: boolean, host_id?: string}} ControlHost */

/**
 * @typedef {object} Settings
 * @property {boolean} private_mode
 * @property {boolean} locked_logins
 * @property {boolean} locked_controls
 * @property {boolean} control_protection
 * @property {boolean} implicit_hosting
 * @property {boolean} inactive_cursors
 * @property {boolean} merciful_reconnect
 * @property {number} heartbeat_interval seconds, 0 = none
 * @property {Record<string, unknown> | null} plugins
 */

/**
 * @typedef {object} SystemInit
 * @property {string} session_id
 * @property {ControlHost} control_host
 * @property {ScreenSize} screen_size
 * @property {Record<string, SessionData>} sessions
 * @property {Settings} settings
 * @property {{videos: string[], takes?: string[]}} [webrtc] takes = kinds of our own media that it takes, "audio" and "video"
 */

/** @typedef {{disabled: boolean, id: string, auto: boolean, paused?: boolean}} VideoStatus what one gets of the picture; paused =
 * the network cannot carry it */

/** @typedef {{sdp: string, iceservers: RTCIceServer[] | null, video?: VideoStatus}} SignalProvide */

/** @typedef {{event: string, payload?: any}} Envelope */

/**
 * @typedef {object} HoldEvidence
 * @property {"session" | "request" | "pin" | "lease"} kind
 * @property {string} id
 * @property {string} label
 * @property {number} age_seconds
 * @property {number | null} seconds_left
 */

/**
 * @typedef {object} Evidence what `GET api/scaletozero` tells, as far as it is shown
 * @property {string} summary
 * @property {HoldEvidence[]} holds
 * @property {{command: string, result: string, at: string} | null} last_write
 * @property {{message: string, retry_in_seconds: number | null} | null} last_error
 */

/** @typedef {(event: string, payload?: unknown) => boolean} Send false: there is no connection, nothing was sent */

/** @typedef {{x: number, y: number}} Point px of the remote screen */

export {};
