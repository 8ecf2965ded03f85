// What the admin's live pages share: elements, times, rows that stay, and the socket.
import { Room } from "../beam.js";

// So many connects in a row that never opened: perhaps the admin is logged out.
const REFUSED_CONNECTS = 3;
const ASK_MS = 5_000;
const MAX_TEXT = 2_000;

export const $ = (id) => document.getElementById(id);
export const config = JSON.parse($("beam-watch").textContent);

// Elements.

/** An element with text; never markup of what clients sent. */
export function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** Says a text that may be there already: screen readers hear of changes only. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** JSON, as much of it as somebody reads. */
export function json(value) {
  const text = JSON.stringify(value);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} …` : text;
}

/**
 * Shows a Map of items as children, by key. Nodes that stay are filled anew and
 * otherwise left alone, so that the focus and the selection stay as well.
 * `make(key)` gives {node, fill}.
 */
export function keyed(parent, make) {
  const kept = new Map();
  return (items) => {
    const focused = document.activeElement;
    for (const [key, { node }] of kept) {
      if (items.has(key)) continue;
      node.remove();
      kept.delete(key);
    }
    let next = parent.firstElementChild;
    for (const [key, item] of items) {
      if (!kept.has(key)) kept.set(key, make(key));
      const { node, fill } = kept.get(key);
      fill(item);
      if (node === next) next = next.nextElementSibling;
      else parent.insertBefore(node, next);
    }
    // What the server wrote, before there was a socket.
    while (next) {
      const old = next;
      next = old.nextElementSibling;
      old.remove();
    }
    // A node that was moved has lost it.
    if (parent.contains(focused)) focused.focus({ preventScroll: true });
  };
}

/** Does `work` at once, then every `ms` at most; never where nobody looks. */
export function throttled(work, ms) {
  let waits = false;
  let next = 0;
  const run = () => {
    waits = false;
    work();
    next = performance.now() + ms;
  };
  return () => {
    if (waits) return;
    waits = true;
    setTimeout(() => requestAnimationFrame(run), Math.max(0, next - performance.now()));
  };
}

// Times, by the server's clock and in the browser's zone.

const HOURS = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const CLOCK = new Intl.DateTimeFormat([], HOURS);
const DATED = new Intl.DateTimeFormat([], { day: "numeric", month: "short", ...HOURS });
const WHOLE = new Intl.DateTimeFormat([], { dateStyle: "full", timeStyle: "long" });
let ahead = 0;

/** Unix time as the server has it: the browser's clock may be wrong. */
export const now = () => Date.now() / 1000 + ahead;
const today = () => new Date(now() * 1000).toDateString();

/** Shows a Unix time in a <time>, with the date unless it is today's. */
export function tell(node, seconds) {
  const date = new Date(seconds * 1000);
  if (node.dateTime !== date.toISOString()) node.dateTime = date.toISOString();
  const format = date.toDateString() === today() ? CLOCK : DATED;
  say(node, format.format(date));
  node.title = WHOLE.format(date);
}

export function time(seconds) {
  const made = document.createElement("time");
  tell(made, seconds);
  return made;
}

function tellAll() {
  for (const node of document.querySelectorAll("time[datetime]")) tell(node, Date.parse(node.dateTime) / 1000);
}

tellAll();
let day = today();
setInterval(() => {
  if (day === today()) return;
  day = today();
  tellAll();
}, 60_000);

// The socket, and what the page says of it.

const status = $("beam-status");
let ended = false;

export function state(name, text) {
  if (ended) return;
  status.dataset.state = name;
  say(status, text);
}

function end(room, text, link) {
  state("refused", text);
  if (link) {
    const there = element("a", link);
    there.href = status.dataset.login;
    status.append(" ", there);
  }
  ended = true;
  room.close();
}

/** Asks for this page: does it lead to the login? */
async function askWho(room) {
  let answer;
  try {
    answer = await fetch(location.href, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(ASK_MS) });
  } catch {
    return; // Nobody answers: it is not about the login.
  }
  const login = new URL(status.dataset.login, location.href);
  if (new URL(answer.url).pathname === login.pathname) end(room, "You are logged out.", "Log in");
  else if (answer.status === 403) end(room, "permission denied");
}

/** The page's topic on a socket of its own; `state` and `now` follow it. */
export function watched() {
  let connects = 0;
  let why = "";
  const room = new Room({
    url: `${location.origin.replace("http", "ws")}/admin/live`,
    topic: config.topic,
    tokens: async () => {
      if (connects >= REFUSED_CONNECTS) await askWho(room);
      if (ended) throw new Error("ended");
      if (connects++) why = "";
      return { user_token: "", room_token: "" };
    },
    payload: () => ({}),
  });
  room.addEventListener("state", ({ detail }) => {
    if (detail.state !== "online") return state(detail.state, why || detail.state);
    connects = 0;
    why = "";
    // A process of the version before does not tell.
    if (detail.reply.now) ahead = detail.reply.now - Date.now() / 1000;
    state("online", "live");
  });
  room.addEventListener("refused", ({ detail: { reason } }) => {
    connects = 0;
    if (reason === "unavailable") why = "Redis is unavailable";
    if (reason === "forbidden" || reason === "unauthorized") end(room, "permission denied");
  });
  return room;
}
