// The live view: the whole service at a glance, as it tells of itself every few seconds.
import { $, config, element, keyed, now, say, state, tell, time, watched } from "./page.js";

const WINDOW_SECONDS = 900;
// A service that started a moment ago fills the picture all the same.
const LEAST_SECONDS = 120;
const MAX_WARNINGS = 200;

const step = config.seconds;
// A process that is silent for so many steps is gone.
const SILENT_INTERVALS = config.silent;
// step before `next` -> the sums over processes then, as they were told
let history = new Map();
let next = 0;
// step -> process -> its figures then
const buckets = new Map();
let warnings = [];
// Redis is where all figures meet: without it there are none.
let away = false;
let heard = performance.now();

const whole = (value) => Math.round(value).toLocaleString();
const rate = (value) => (value >= 20 ? whole(value) : value.toLocaleString([], { maximumFractionDigits: 1 }));

const TILES = [
  ["connections", "Connections", whole],
  ["members", "Members", whole],
  ["joins", "Joins per second", rate],
  ["messages", "Messages per second", rate],
  ["deliveries", "Deliveries per second", rate],
  ["errors", "Errors per second", rate],
];

const svg = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
const bytes = (value) => `${(value / 1_048_576).toLocaleString([], { maximumFractionDigits: 0 })} MiB`;
function keep(point) {
  const bucket = Math.floor(point.at / step);
  if (!buckets.has(bucket)) buckets.set(bucket, new Map());
  buckets.get(bucket).set(point.process, point);
  const oldest = Math.floor(now() / step) - WINDOW_SECONDS / step;
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
  const end = Math.floor(now() / step);
  const last = new Map();
  const found = [];
  for (let bucket = end - WINDOW_SECONDS / step; bucket < end; bucket++) {
    for (const [process, point] of buckets.get(bucket) ?? []) last.set(process, { point, bucket });
    let sum = null;
    for (const [process, { point, bucket: seen }] of last) {
      if (bucket - seen > SILENT_INTERVALS) last.delete(process);
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
  const numbers = values.filter((value) => value !== null);
  const top = Math.max(...numbers, 0);
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
  const last = values.at(-1) ?? null;
  tile.querySelector(".value").textContent = last === null ? "–" : format(last);
  tile.querySelector(".peak").textContent = numbers.length ? `peak ${format(top)}` : "";
  const minutes = Math.round((values.length * step) / 60);
  tile.querySelector(".axis").firstChild.textContent = `${minutes} minutes ago`;
}

function newest() {
  const last = new Map();
  for (const points of buckets.values()) for (const [process, point] of points) {
    if (point.at > (last.get(process)?.at ?? 0)) last.set(process, point);
  }
  const since = now() - step * (SILENT_INTERVALS + 1);
  return [...last.values()].filter((point) => point.at > since);
}

/** A line of a table: a first cell, and cells whose texts come anew. */
function line(first, kinds) {
  const node = document.createElement("tr"), cell = element("td", "", "beam-id");
  const rest = kinds.map((kind) => element("td", "", kind));
  cell.append(first);
  node.append(cell, ...rest);
  return { node, rest, fill: (texts) => texts.forEach((text, n) => say(rest[n], text)) };
}

/** What stands where a list is empty. */
function empty(id, lines, text) {
  say($(id), away ? "Redis is unavailable: no data." : text);
  $(id).hidden = lines > 0;
}

const showLines = keyed($("beam-processes"), () => {
  const name = element("span"), since = element("time");
  const { node, rest, fill } = line(name, ["number", "number", "number", "number", "number beam-wide", "beam-wide"]);
  rest.at(-1).append(since);
  return {
    node,
    fill(point) {
      say(name, `${point.host} #${point.pid}`);
      tell(since, point.started);
      fill([
        whole(point.connections),
        whole(point.topics),
        `${Math.round(point.cpu * 100)} %`,
        bytes(point.memory),
        `${Math.round(point.lag * 1000)} ms`,
      ]);
    },
  };
});

function showProcesses() {
  const lines = newest().sort((a, b) => a.host.localeCompare(b.host) || a.pid - b.pid);
  showLines(new Map(lines.map((point) => [point.process, point])));
  empty("beam-no-processes", lines.length, "No process has reported statistics.");
}

const showRooms = keyed($("beam-top"), (room_id) => {
  const link = element("a", room_id);
  link.href = `${config.room}?${new URLSearchParams({ room_id })}`;
  const { node, fill } = line(link, ["number", "number", "number"]);
  return { node, fill: ({ per_minute, sessions, users }) => fill([rate(per_minute), whole(sessions), whole(users)]) };
});

function showTop(rooms) {
  showRooms(new Map(rooms.map((found) => [found.room_id, found])));
  empty("beam-no-top", rooms.length, "No messages.");
}

const showLog = keyed($("beam-warnings"), (key) => {
  const { at, level, text } = JSON.parse(key), node = element("li");
  node.append(time(at), element("span", text, level));
  return { node, fill() {} };
});

function showWarnings(more = []) {
  const oldest = now() - WINDOW_SECONDS;
  warnings = [...more.toReversed(), ...warnings].filter(({ at }) => at > oldest).slice(0, MAX_WARNINGS);
  showLog(new Map(warnings.map((one) => [JSON.stringify(one), one])));
  empty("beam-no-warnings", warnings.length, "None in the last 15 minutes.");
}

function showState() {
  const silent = performance.now() - heard > SILENT_INTERVALS * step * 1000;
  if (away) state("stale", "Redis is unavailable");
  else if (silent) state("stale", "stale: no statistics received");
  else state("online", "live");
}

function show() {
  for (const [name, , format] of TILES) chart(document.querySelector(`[data-name="${name}"]`), series(name), format);
  showProcesses();
  showWarnings();
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

const live = watched();
let joined = false;
// Joined without the past: once Redis is back it is joined anew.
let blind = false;

async function askTop() {
  try {
    const { rooms } = await live.push("top", {});
    if (blind) return live.socket.close();
    away = false;
    showTop(rooms);
  } catch ({ reason }) {
    if (reason !== "unavailable") return; // The socket is away, and says so itself.
    away = true;
    showTop([]);
  }
  if (joined) showState();
}

live.addEventListener("state", ({ detail: { state: name, reply } }) => {
  joined = name === "online";
  if (!joined) return;
  heard = performance.now();
  away = blind = !reply.redis;
  begin(reply);
  warnings = reply.warnings;
  show();
  showState();
  askTop();
});
live.addEventListener("message", ({ detail: { event, payload } }) => {
  if (event !== "figures") return;
  heard = performance.now();
  keep(payload.point);
  showWarnings(payload.warnings);
});
// Processes tell one by one: the picture is drawn at one beat.
setInterval(() => {
  show();
  if (joined) askTop();
}, step * 1000);
live.connect();
