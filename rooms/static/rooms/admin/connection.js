// The WebSocket of an admin page, and the status text that describes it.
import { Room } from "../beam.js";
import { setServerTime } from "./clock.js";
import { $, config, element, setText } from "./elements.js";

// After so many failed connects in a row the page checks whether its login is still valid.
const FAILED_CONNECTS = 3;
const CHECK_TIMEOUT_MS = 5_000;

const status = $("beam-status");
let ended = false;

/** Shows the state of the page; `name` selects the colour. */
export function setStatus(name, text) {
  if (ended) return;
  status.dataset.state = name;
  setText(status, text);
}

function end(room, text, link) {
  setStatus("refused", text);
  if (link) {
    const login = element("a", link);
    login.href = status.dataset.login;
    status.append(" ", login);
  }
  ended = true;
  room.close();
}

/** Requests this page, and ends if that leads to the login or is forbidden. */
async function checkLogin(room) {
  let response;
  try {
    response = await fetch(location.href, {
      method: "HEAD",
      cache: "no-store",
      signal: AbortSignal.timeout(CHECK_TIMEOUT_MS),
    });
  } catch {
    return; // The server is unreachable.
  }
  const login = new URL(status.dataset.login, location.href);
  if (new URL(response.url).pathname === login.pathname) end(room, "You are logged out.", "Log in");
  else if (response.status === 403) end(room, "permission denied");
}

/** Returns the page's topic on a socket of its own. The status and the clock follow it. */
export function pageTopic() {
  let connects = 0;
  let refusal = "";
  const room = new Room({
    url: `${location.origin.replace("http", "ws")}/admin/live`,
    topic: config.topic,
    tokens: async () => {
      if (connects >= FAILED_CONNECTS) await checkLogin(room);
      if (ended) throw new Error("ended");
      if (connects++) refusal = "";
      return { user_token: "", room_token: "" };
    },
    payload: () => ({}),
  });
  room.addEventListener("state", ({ detail }) => {
    if (detail.state !== "online") return setStatus(detail.state, refusal || detail.state);
    connects = 0;
    refusal = "";
    // A process of the previous version does not send its time.
    if (detail.reply.now) setServerTime(detail.reply.now);
    setStatus("online", "live");
  });
  room.addEventListener("refused", ({ detail: { reason } }) => {
    connects = 0;
    if (reason === "unavailable") refusal = "Redis is unavailable";
    if (reason === "forbidden" || reason === "unauthorized") end(room, "permission denied");
  });
  return room;
}
