// A room's page in the admin: who is in and what happens, without reloading.
import { $, config, element, json, keyed, now, say, state, tell, throttled, time, watched } from "./page.js";

const MAX_LINES = 200;
const MAX_ROWS = 200;
const SHOW_MS = 500;
const TAIL_MS = 250;
// What nobody tells of: who opened the room, what another process's backends sent.
const ASK_MS = 5_000;
const SOON_MS = 1_000;
const HIDDEN = new Set(["online_at", "phx_ref", "phx_ref_prev"]);

const room = watched();
const tail = $("beam-tail");
const filter = $("beam-filter");
let owners = {};
let heard = [];

// Members.

const meta = (metas) =>
  metas
    .map((one) => Object.fromEntries(Object.entries(one).filter(([name]) => !HIDDEN.has(name))))
    .filter((one) => Object.keys(one).length)
    .map(json)
    .join("\n");

function action(path, query, text, kind) {
  const link = element("a", text, kind);
  link.href = `${path}?${new URLSearchParams(query)}`;
  link.setAttribute("aria-label", `${text} ${query.session ?? query.user}`);
  return link;
}

function cell(kind, ...parts) {
  const made = element("td", "", kind);
  made.append(...parts);
  return made;
}

function row(session) {
  const user = session.slice(0, session.lastIndexOf(":"));
  const since = element("time"), said = element("code"), held = cell("beam-wide");
  const actions = cell("beam-actions");
  if (config.mayModerate) {
    actions.append(
      action(config.actions.remove, { session }, "Remove", "deletelink"),
      action(config.actions.remove, { session, block: "" }, "Block"),
      action(config.actions.disconnect, { user }, "Disconnect"),
    );
  }
  const line = document.createElement("tr");
  line.append(cell("beam-id", session), cell("beam-id beam-wide", user), cell("", since));
  line.append(cell("beam-wide", said), held, actions);
  let shown;
  const fill = (metas) => {
    say(held, [...new Set(metas.map((one) => owners[one.phx_ref] ?? ""))].join(" "));
    if (shown === metas) return;
    shown = metas;
    tell(since, Number(metas[0].online_at));
    say(said, meta(metas));
  };
  return { node: line, fill };
}

const showRows = keyed($("beam-members"), row);
const byTime = ([a, [first]], [b, [second]]) => first.online_at - second.online_at || (a < b ? -1 : 1);

function more(found) {
  if (found > MAX_ROWS) return `${(found - MAX_ROWS).toLocaleString()} more. Filter by session to find them.`;
  return found || !room.presence.size ? "" : "No session contains this text.";
}

const show = throttled(() => {
  const wanted = filter.value.trim().toLowerCase();
  const found = [...room.presence].filter(([session]) => session.toLowerCase().includes(wanted)).sort(byTime);
  showRows(new Map(found.slice(0, MAX_ROWS)));
  say($("beam-count"), room.presence.size.toLocaleString());
  say($("beam-more"), more(found.length));
  $("beam-nobody").hidden = room.presence.size > 0;
}, SHOW_MS);

// What happens.

function line(at, event, who) {
  const made = element("li"), head = element("span");
  head.append(element("span", event, "event"), " ", element("span", who, "who"));
  made.append(time(at), head);
  return made;
}

const showHeard = throttled(() => {
  const lines = heard.reverse().map(({ at, event, who, payload }) => {
    const made = line(at, event, who);
    made.append(element("code", json(payload)));
    return made;
  });
  heard = [];
  tail.prepend(...lines);
  while (tail.children.length > MAX_LINES) tail.lastElementChild.remove();
  $("beam-quiet").hidden = true;
}, TAIL_MS);

function hear(event, { from, ...payload }) {
  heard.push({ at: now(), event, who: from?.session ?? (event.startsWith("beam_") ? "Beam" : "backend"), payload });
  if (heard.length > MAX_LINES) heard.shift();
  showHeard();
}

// What the room's channel does not tell by itself.

const showSent = keyed($("beam-sent"), (key) => {
  const { at, event, by } = JSON.parse(key);
  return { node: line(at, event, by), fill() {} };
});

function showState({ closed, sent }) {
  const badge = $("beam-open");
  say(badge, closed ? "closed" : "open");
  badge.className = `beam-state ${closed ? "beam-closed" : "beam-live"}`;
  for (const [id, hidden] of [["beam-to-open", !closed], ["beam-to-close", closed]]) if ($(id)) $(id).hidden = hidden;
  showSent(new Map(sent.map((record) => [JSON.stringify(record), record])));
  say($("beam-sent-heading"), sent.length ? "Backend events" : "Recent backend events (none in the last hour)");
  say($("beam-sent-count"), sent.length ? `the latest ${sent.length} of the last hour` : "");
}

function showAnswer(answer) {
  state("online", "live");
  owners = answer.owners;
  showState(answer);
  show();
}

const ask = throttled(() => {
  room.push("room", {}).then(showAnswer, ({ reason }) => {
    // Else the socket is away, and says so itself.
    if (reason === "unavailable") state("stale", "Redis is unavailable");
  });
}, SOON_MS);

room.addEventListener("state", ({ detail }) => detail.state === "online" && ask());
room.addEventListener("presence", () => {
  show();
  ask();
});
room.addEventListener("message", ({ detail: { event, payload } }) => {
  hear(event, payload);
  if (!payload.from) ask();
});
filter.addEventListener("input", show);
setInterval(ask, ASK_MS);
room.connect();
