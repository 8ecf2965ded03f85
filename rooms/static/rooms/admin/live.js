// The live view: the whole service at a glance, as it tells of itself every few seconds.
import { Room } from "../beam.js";

const WINDOW_SECONDS = 900;
// A service that started a moment ago fills the picture all the same.
const LEAST_SECONDS = 120;
const MAX_WARNINGS = 50;

const config = JSON.parse(document.getElementById("beam-watch").textContent);
const status = document.getElementById("beam-status");
const step = config.seconds;
// A process that is silent for so many steps is gone.
const SILENT_STEPS = config.silent;
// step before `next` -> the sums over processes then, as they were told
let history = new Map();
let next = 0;
// step -> process -> its figures then
const buckets = new Map();
let warnings = [];

const whole = (value) => Math.round(value).toLocaleString();
const rate = (value) => (value >= 20 ? whole(value) : value.toLocaleString([], { maximumFractionDigits: 1 }));

const TILES = [
  ["connections", "connections", whole],
  ["members", "members", whole],
  ["joins", "joins a second", rate],
  ["messages", "messages in a second", rate],
  ["deliveries", "deliveries a second", rate],
  ["errors", "errors a second", rate],
];

const element = (name, text = "", kind = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const svg = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
const bytes = (value) => `${(value / 1_048_576).toLocaleString([], { maximumFractionDigits: 0 })} MiB`;
const cells = (line, parts) => {
  for (const [text, kind] of parts) line.append(element("td", text, kind));
  return line;
};

function keep(point) {
  const bucket = Math.floor(point.at / step);
  if (!buckets.has(bucket)) buckets.set(bucket, new Map());
  buckets.get(bucket).set(point.process, point);
  const oldest = Math.floor(Date.now() / 1000 / step) - WINDOW_SECONDS / step;
  for (const old of buckets.keys()) if (old < oldest) buckets.delete(old);
}

/** What was before, in sums, and the last figures of each process. */
function begin(told) {
  history = new Map(told.steps.map((sums) => [sums.step, sums]));
  next = told.next;
  buckets.clear();
  told.points.forEach(keep);
}

/** The sum over processes at each step; one that said nothing in a step is as before. */
function series(name) {
  const now = Math.floor(Date.now() / 1000 / step);
  const last = new Map();
  const found = [];
  for (let bucket = now - WINDOW_SECONDS / step; bucket < now; bucket++) {
    for (const [process, point] of buckets.get(bucket) ?? []) last.set(process, { point, bucket });
    let sum = null;
    for (const [process, { point, bucket: seen }] of last) {
      if (bucket - seen > SILENT_STEPS) last.delete(process);
      else sum = (sum ?? 0) + point[name];
    }
    found.push(bucket < next ? (history.get(bucket)?.[name] ?? null) : sum);
  }
  return found;
}

/** Without what lies before the first figure of any process. */
function known(values) {
  const first = values.findIndex((value) => value !== null);
  return values.slice(Math.min(first < 0 ? values.length : first, values.length - LEAST_SECONDS / step));
}

function chart(tile, all, format) {
  const values = known(all);
  const figures = values.filter((value) => value !== null);
  const top = Math.max(...figures, 0);
  const high = top || 1;
  const place = (value, n) => [n, 60 - (54 * value) / high];
  const runs = [[]];
  values.forEach((value, n) => {
    if (value === null) runs.at(-1).length && runs.push([]);
    else runs.at(-1).push(place(value, n));
  });
  const drawing = tile.querySelector("svg");
  drawing.setAttribute("viewBox", `0 0 ${values.length - 1} 64`);
  drawing.replaceChildren(svg("path", { class: "base", d: `M0 60H${values.length - 1}` }));
  for (const run of runs.filter((one) => one.length > 1)) {
    const line = run.map(([x, y]) => `${x} ${y.toFixed(1)}`).join("L");
    drawing.append(
      svg("path", { class: "area", d: `M${run[0][0]} 60L${line}L${run.at(-1)[0]} 60Z` }),
      svg("path", { class: "line", d: `M${line}` }),
    );
  }
  tile.querySelector(".value").textContent = figures.length ? format(figures.at(-1)) : "–";
  tile.querySelector(".peak").textContent = figures.length ? `peak ${format(top)}` : "";
  const minutes = Math.round((values.length * step) / 60);
  tile.querySelector(".axis").firstChild.textContent = `${minutes} minutes ago`;
}

function newest() {
  const last = new Map();
  for (const points of buckets.values()) for (const [process, point] of points) {
    if (point.at > (last.get(process)?.at ?? 0)) last.set(process, point);
  }
  const now = Date.now() / 1000;
  return [...last.values()].filter((point) => now - point.at < step * (SILENT_STEPS + 1));
}

function showProcesses() {
  const lines = newest().sort((a, b) => a.host.localeCompare(b.host) || a.pid - b.pid).map((point) =>
    cells(document.createElement("tr"), [
      [`${point.host} #${point.pid}`, ""],
      [whole(point.connections), "number"],
      [whole(point.topics), "number"],
      [`${Math.round(point.cpu * 100)} %`, "number"],
      [bytes(point.memory), "number"],
      [`${Math.round(point.lag * 1000)} ms`, "number beam-wide"],
      [new Date(point.started * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" }), "beam-wide"],
    ]));
  document.getElementById("beam-processes").replaceChildren(...lines);
}

function showTop(rooms) {
  const lines = rooms.map((found) => {
    const line = document.createElement("tr");
    const name = element("td");
    const link = element("a", found.room_id);
    link.href = `${config.rooms}?${new URLSearchParams({ q: found.room_id })}`;
    name.append(link);
    line.append(name);
    return cells(line, [
      [rate(found.per_minute), "number"],
      [whole(found.sessions), "number"],
      [whole(found.users), "number"],
    ]);
  });
  document.getElementById("beam-top").replaceChildren(...lines);
  document.getElementById("beam-no-top").hidden = lines.length > 0;
}

function showWarnings() {
  const lines = warnings.slice(0, MAX_WARNINGS).map(({ at, level, text }) => {
    const line = document.createElement("li");
    line.append(element("time", clock(at)), element("span", text, level));
    return line;
  });
  document.getElementById("beam-warnings").replaceChildren(...lines);
  document.getElementById("beam-no-warnings").hidden = lines.length > 0;
}

function show() {
  for (const [name, , format] of TILES) chart(document.querySelector(`[data-name="${name}"]`), series(name), format);
  showProcesses();
}

const tiles = document.getElementById("beam-tiles");
for (const [name, text] of TILES) {
  const tile = element("div", "", "beam-tile");
  tile.dataset.name = name;
  tile.append(element("span", "", "peak"), element("div", text, "name"), element("div", "–", "value"));
  tile.append(svg("svg", { preserveAspectRatio: "none", role: "img", "aria-label": `${text}, last 15 minutes` }));
  const axis = element("div", "", "axis");
  axis.append(element("span", "15 minutes ago"), element("span", "now"));
  tile.append(axis);
  tiles.append(tile);
}

const scheme = location.protocol === "https:" ? "wss" : "ws";
const live = new Room({
  url: `${scheme}://${location.host}/admin/live`,
  topic: config.topic,
  tokens: async () => ({ user_token: "", room_token: "" }),
  payload: () => ({}),
});

async function askTop() {
  try {
    showTop((await live.push("top", {})).rooms);
  } catch {} // Redis is away: the warnings say so.
}

live.addEventListener("state", ({ detail: { state, reply } }) => {
  status.dataset.state = state;
  status.textContent = state === "online" ? "live" : state;
  if (!reply) return;
  begin(reply);
  warnings = reply.warnings;
  show();
  showWarnings();
  askTop();
});
live.addEventListener("message", ({ detail: { event, payload } }) => {
  if (event !== "figures") return;
  keep(payload.point);
  warnings = [...payload.warnings.toReversed(), ...warnings];
  showWarnings();
});
// Processes tell one by one: the picture is drawn at one beat.
setInterval(() => {
  show();
  askTop();
}, step * 1000);
live.connect();
