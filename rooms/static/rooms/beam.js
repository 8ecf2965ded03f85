// A small Phoenix Channels client (serializer V2) for the demo page and the admin.
// Applications use the official `phoenix` package; this one has no build step.

const HEARTBEAT_MS = 30_000;
const PUSH_TIMEOUT_MS = 10_000;
const RECONNECT_MS = [50, 250, 1_000, 2_000, 5_000];

/** The wait before the n-th attempt, with jitter, so that clients do not reconnect all at once. */
const backoff = (attempt) =>
  RECONNECT_MS[Math.min(attempt, RECONNECT_MS.length - 1)] * (0.5 + Math.random());

/** One joined topic on one WebSocket, which reconnects on its own. */
export class Room extends EventTarget {
  #ref = 0;
  #joinRef = null;
  #attempt = 0;
  #replies = new Map();
  #closed = false;

  /** `tokens()` resolves with {user_token, room_token}; it is called at each connect. */
  constructor({ url, topic, tokens, payload }) {
    super();
    Object.assign(this, { url, topic, tokens, payload });
    this.presence = new Map(); // key -> metas
  }

  async connect() {
    this.#emit("state", { state: this.#attempt ? "reconnecting" : "connecting" });
    let tokens;
    try {
      tokens = await this.tokens();
    } catch (error) {
      return this.#retry();
    }
    const query = new URLSearchParams({ user_token: tokens.user_token, vsn: "2.0.0" });
    const socket = new WebSocket(`${this.url}/websocket?${query}`);
    this.socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onopen = () => this.#join(tokens.room_token);
    socket.onclose = () => {
      clearInterval(this.heartbeat);
      this.#settleAll();
      if (!this.#closed) this.#retry();
    };
  }

  close() {
    this.#closed = true;
    this.socket?.close();
  }

  /** Resolves with the response of the reply; rejects with an Error that has a `reason`. */
  push(event, payload, joinRef = this.#joinRef, topic = this.topic) {
    const ref = String(++this.#ref);
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) return reject(failure("offline"));
      const timer = setTimeout(() => this.#settle(ref, "error", { reason: "timeout" }), PUSH_TIMEOUT_MS);
      this.#replies.set(ref, { resolve, reject, timer });
      this.socket.send(JSON.stringify([joinRef, ref, topic, event, payload]));
    });
  }

  async #join(room_token) {
    this.#joinRef = String(++this.#ref);
    this.heartbeat = setInterval(() => {
      this.push("heartbeat", {}, null, "phoenix").catch(() => this.socket.close());
    }, HEARTBEAT_MS);
    try {
      const reply = await this.push("phx_join", { ...this.payload(), room_token });
      this.#attempt = 0;
      this.#emit("state", { state: "online", reply });
    } catch (error) {
      this.#emit("refused", { reason: error.reason, message: error.message });
      this.socket.close();
    }
  }

  #retry() {
    this.#emit("state", { state: "reconnecting" });
    setTimeout(() => this.#closed || this.connect(), backoff(this.#attempt++));
  }

  #receive([joinRef, ref, topic, event, payload]) {
    if (event === "phx_reply") return this.#settle(ref, payload.status, payload.response);
    if (topic !== this.topic || (joinRef !== null && joinRef !== this.#joinRef)) return;
    if (event === "phx_close" || event === "phx_error") return this.socket.close();
    if (event === "presence_state") this.#sync(payload);
    else if (event === "presence_diff") this.#merge(payload);
    else this.#emit("message", { event, payload });
  }

  #settle(ref, status, response) {
    const pending = this.#replies.get(ref);
    if (!pending) return;
    this.#replies.delete(ref);
    clearTimeout(pending.timer);
    if (status === "ok") pending.resolve(response);
    else pending.reject(failure(response.reason, response.message));
  }

  #settleAll() {
    for (const ref of [...this.#replies.keys()]) this.#settle(ref, "error", { reason: "offline" });
  }

  #sync(state) {
    this.presence = new Map(Object.entries(state).map(([key, { metas }]) => [key, metas]));
    this.#emit("presence");
  }

  // Joins first, then leaves, so that an update never removes a key.
  #merge({ joins, leaves }) {
    for (const [key, { metas }] of Object.entries(joins)) {
      const refs = new Set(metas.map((meta) => meta.phx_ref));
      const kept = (this.presence.get(key) ?? []).filter((meta) => !refs.has(meta.phx_ref));
      this.presence.set(key, [...kept, ...metas]);
    }
    for (const [key, { metas }] of Object.entries(leaves)) {
      const refs = new Set(metas.map((meta) => meta.phx_ref));
      const kept = (this.presence.get(key) ?? []).filter((meta) => !refs.has(meta.phx_ref));
      if (kept.length) this.presence.set(key, kept);
      else this.presence.delete(key);
    }
    this.#emit("presence");
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const failure = (reason, message) => Object.assign(new Error(message ?? reason), { reason });
