// The demo page: one room, its conversation and its members.
import { Room } from "./beam.js";

const $ = (id) => document.getElementById(id);
const TYPING_MS = 2_500;
const REASONS = {
  unauthorized: "The room token was refused.",
  unavailable: "The service that checks tokens is unavailable. Trying again.",
  room_full: "This room is full.",
  too_many_sessions: "You have too many windows in this room: close some of them.",
  presence_full: "This room is full.",
  room_closed: "This room is closed.",
  invalid_room_id: "This room name is not valid: 1 to 200 characters, no control characters.",
  shutting_down: "The server is restarting. Trying again.",
};

const query = new URLSearchParams(location.search);
const name = query.get("name")?.trim().slice(0, 40), roomId = query.get("room");

function welcome() {
  const form = $("enter");
  form.name.value = name || localStorage.getItem("beam.name") || "";
  form.room.value = roomId || "lobby";
  form.name.focus();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    localStorage.setItem("beam.name", form.name.value.trim());
    location.search = new URLSearchParams({ name: form.name.value.trim(), room: form.room.value });
  });
}

function enter() {
  const userId = name.toLowerCase();
  const sessionId = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  const me = `${userId}:${sessionId}`;
  const room = new Room({
    url: location.origin.replace("http", "ws") + "/socket",
    topic: `room:${roomId}`,
    payload: () => ({ session_id: sessionId, meta: { name, hue: hueOf(userId) } }),
    tokens: () => fetchTokens(userId, roomId),
  });
  const typing = new Map(); // session -> timer
  let recipient = null;

  document.title = `${roomId} · Beam`;
  $("welcome").hidden = true;
  $("room").hidden = $("where").hidden = $("state").hidden = false;
  $("where").replaceChildren("in ", element("b", {}, roomId));
  $("second").href = `/?${new URLSearchParams({ name: name === "Grace" ? "Ada" : "Grace", room: roomId })}`;
  $("curl").textContent = curlCommand();

  room.addEventListener("state", ({ detail: { state } }) => {
    $("state").dataset.state = $("state").textContent = state;
    if (state === "online") $("notice").hidden = true;
  });
  room.addEventListener("refused", ({ detail: { reason, message } }) => {
    $("notice").textContent = REASONS[reason] ?? `Could not join: ${message}`;
    $("notice").hidden = false;
  });
  room.addEventListener("presence", showMembers);
  room.addEventListener("message", ({ detail: { event, payload } }) => {
    if (event === "typing" && payload.from) return showTyping(payload.from.session, payload.on);
    if (payload.from) stopTyping(payload.from.session);
    showMessage(event, payload);
  });
  room.connect();

  const say = $("say");
  let typingSentAt = 0;
  say.text.focus();
  say.text.addEventListener("input", () => {
    // Sent twice in TYPING_MS at most: the other windows show it for TYPING_MS.
    if (recipient || Date.now() - typingSentAt < TYPING_MS / 2) return;
    typingSentAt = Date.now();
    room.push("typing", { broadcast: true, on: true }).catch(() => {});
  });
  say.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = say.text.value.trim();
    if (!text) return;
    say.reset();
    typingSentAt = 0;
    send(text, recipient);
  });
  $("to").addEventListener("click", () => address(null));
  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
    setTimeout(() => ($("copy").textContent = "Copy command"), 1_500);
  });

  function send(text, to) {
    const target = to ? { to: [{ user_id: to.userId }] } : { broadcast: true };
    const line = addLine({
      own: true, private: Boolean(to), text, hue: hueOf(userId), who: to ? `to ${to.name}` : "you",
    });
    room.push("new_msg", { ...target, text }).catch((error) => {
      line.classList.add("failed");
      line.querySelector(".who").textContent = `not sent: ${error.reason.replaceAll("_", " ")}`;
    });
  }

  function showMessage(event, payload) {
    if (!payload.from) {
      const text = typeof payload.text === "string" ? payload.text : JSON.stringify(payload);
      return addLine({ backend: true, who: "", tag: `backend · ${event}`, text });
    }
    const text = typeof payload.text === "string" ? payload.text : JSON.stringify(payload);
    addLine({
      private: Array.isArray(payload.to), who: nameOf(payload.from), text, hue: hueOf(payload.from.user_id),
    });
  }

  function addLine(line) {
    const log = $("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const item = element("li", { class: "message" });
    for (const kind of ["own", "private", "backend"]) item.classList.toggle(kind, Boolean(line[kind]));
    const who = element("span", { class: "who" }, element("b", {}, line.who));
    if (line.private) who.append(element("span", { class: "tag" }, " · private"));
    if (line.tag) who.append(element("span", { class: "tag" }, line.tag));
    const face = element("span", { class: "face", "aria-hidden": "true" }, line.backend ? "⚡" : initials(line.who));
    face.style.setProperty("--hue", line.hue ?? 0);
    item.append(face, who, element("span", { class: "text" }, line.text));
    log.append(item);
    if (atEnd || line.own) log.scrollTop = log.scrollHeight;
    return item;
  }

  function users() {
    const found = new Map();
    for (const [key, metas] of room.presence) {
      const id = key.slice(0, key.lastIndexOf(":"));
      const known = found.get(id) ?? { userId: id, tabs: 0 };
      found.set(id, { ...known, tabs: known.tabs + metas.length, ...shown(id, metas.at(-1)) });
    }
    return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  function showMembers() {
    const everyone = users();
    $("count").textContent = everyone.length;
    $("members").replaceChildren(...everyone.map(memberItem));
    for (const session of typing.keys()) if (!room.presence.has(session)) stopTyping(session);
    if (recipient && !everyone.some((user) => user.userId === recipient.userId)) address(null);
  }

  function memberItem(user) {
    const own = user.userId === userId;
    const face = element("span", { class: "face", "aria-hidden": "true" }, initials(user.name));
    face.style.setProperty("--hue", user.hue);
    const notes = [own && "you", user.tabs > 1 && `${user.tabs} windows`].filter(Boolean).join(" · ");
    const button = element("button", {
      type: "button", class: "member", title: own ? "" : `Send ${user.name} a private message`,
      "aria-pressed": String(recipient?.userId === user.userId),
    }, face, element("span", { class: "name" }, user.name), element("small", {}, notes));
    button.disabled = own && user.tabs < 2;
    button.addEventListener("click", () => address(recipient?.userId === user.userId ? null : user));
    return element("li", {}, button);
  }

  function address(user) {
    recipient = user;
    $("to").hidden = !user;
    $("to").textContent = user ? `to ${user.name}` : "";
    say.text.placeholder = user ? `Message ${user.name} only` : "Message all members";
    for (const [at, member] of users().entries()) {
      const button = $("members").children[at]?.firstChild;
      button?.setAttribute("aria-pressed", String(member.userId === user?.userId));
    }
    say.text.focus();
  }

  function showTyping(session, on) {
    clearTimeout(typing.get(session));
    if (!on) return stopTyping(session);
    typing.set(session, setTimeout(() => stopTyping(session), TYPING_MS));
    showTypists();
  }

  function stopTyping(session) {
    clearTimeout(typing.get(session));
    if (typing.delete(session)) showTypists();
  }

  function showTypists() {
    const names = [...typing.keys()].map((session) => nameOf({ session }));
    $("typing").textContent = names.length ? `${new Intl.ListFormat("en").format(names)} ${names.length > 1 ? "are" : "is"} typing …` : "";
  }

  function nameOf({ session }) {
    const id = session.slice(0, session.lastIndexOf(":"));
    const own = session === me ? name : null;
    return own ?? shown(id, room.presence.get(session)?.at(-1)).name;
  }

  function curlCommand() {
    const body = { room_id: roomId, event: "new_msg", payload: { text: "The document changed" } };
    return [
      "curl",
      `-H ${quoted(`secret: ${document.body.dataset.secret}`)}`,
      `-H ${quoted("content-type: application/json")}`,
      `-d ${quoted(JSON.stringify(body))}`,
      quoted(`${location.origin}/api/v1/push_room_event`),
    ].join(" \\\n  ");
  }
}

async function fetchTokens(userId, room) {
  const answer = await fetch(`/demo/token?${new URLSearchParams({ user_id: userId, room_id: room })}`);
  if (answer.ok) return answer.json();
  const { error } = await answer.json();
  $("notice").textContent = `No token: ${error.message}.`;
  $("notice").hidden = false;
  throw new Error(error.message);
}

// A meta may contain anything: only text and numbers are used.
function shown(userId, meta) {
  const given = typeof meta?.name === "string" && meta.name.trim();
  return { name: given || userId, hue: Number.isFinite(meta?.hue) ? meta.hue : hueOf(userId) };
}

function hueOf(text) {
  let hash = 7;
  for (const char of text) hash = (hash * 31 + char.codePointAt(0)) % 997;
  return (hash * 47) % 360;
}

const initials = (text) => [...text.trim()][0]?.toUpperCase() ?? "?";

// For a POSIX shell: between single quotes only the quote is special.
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children); // strings become text nodes, never HTML
  return made;
}

if (name && roomId) enter();
else welcome();
