// A room's page in the admin: who is in and what happens, without reloading.
import { Room } from "../beam.js";

const MAX_LINES = 200;
const OWNERS_MS = 400;
const HIDDEN = new Set(["online_at", "phx_ref", "phx_ref_prev"]);

const config = JSON.parse(document.getElementById("beam-watch").textContent);
const status = document.getElementById("beam-status");
const body = document.getElementById("beam-members");
const tail = document.getElementById("beam-tail");
const count = document.getElementById("beam-count");
let owners = {};

const scheme = location.protocol === "https:" ? "wss" : "ws";
const room = new Room({
  url: `${scheme}://${location.host}/admin/live`,
  topic: config.topic,
  tokens: async () => ({ user_token: "", room_token: "" }),
  payload: () => ({}),
});

/** An element with text; never markup of what clients sent. */
const element = (name, text = "", kind = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
};

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });

const meta = (metas) =>
  metas
    .map((one) => Object.fromEntries(Object.entries(one).filter(([name]) => !HIDDEN.has(name))))
    .filter((one) => Object.keys(one).length)
    .map((one) => JSON.stringify(one))
    .join("\n");

function action(path, name, value, text, kind) {
  const link = element("a", text, kind);
  link.href = `${path}?${new URLSearchParams({ [name]: value })}`;
  return link;
}

function row([session, metas]) {
  const user = session.slice(0, session.lastIndexOf(":"));
  const line = document.createElement("tr");
  line.append(element("td", session), element("td", user, "beam-wide"));
  line.append(element("td", clock(Number(metas[0].online_at))));
  const said = element("td", "", "beam-wide");
  said.append(element("code", meta(metas)));
  const held = new Set(metas.map((one) => owners[one.phx_ref] ?? ""));
  line.append(said, element("td", [...held].join(" "), "beam-wide"));
  const actions = element("td", "", "beam-actions");
  if (config.maySteer) {
    actions.append(
      action(config.steer.remove, "session", session, "Remove", "deletelink"),
      action(config.steer.disconnect, "user", user, "Disconnect"),
    );
  }
  line.append(actions);
  return line;
}

function show() {
  const members = [...room.presence].sort(([, a], [, b]) => a[0].online_at - b[0].online_at);
  body.replaceChildren(...members.map(row));
  count.textContent = members.length;
  document.getElementById("beam-nobody").hidden = members.length > 0;
}

let asking = null;
function askOwners() {
  asking ??= setTimeout(async () => {
    asking = null;
    try {
      owners = (await room.push("owners", {})).owners;
      show();
    } catch {} // It comes with the next change.
  }, OWNERS_MS);
}

function say(event, who, payload) {
  const line = document.createElement("li");
  const head = document.createElement("span");
  head.append(element("span", event, "event"), element("span", who, "who"));
  line.append(element("time", clock(Date.now() / 1000)), head);
  line.append(element("code", JSON.stringify(payload)));
  tail.prepend(line);
  while (tail.children.length > MAX_LINES) tail.lastElementChild.remove();
  document.getElementById("beam-quiet").hidden = true;
}

room.addEventListener("state", ({ detail }) => {
  status.dataset.state = detail.state;
  status.textContent = detail.state === "online" ? "live" : detail.state;
});
room.addEventListener("presence", () => {
  show();
  askOwners();
});
room.addEventListener("message", ({ detail: { event, payload } }) => {
  const { from, ...rest } = payload;
  say(event, from?.session ?? "backend", rest);
});
room.connect();
