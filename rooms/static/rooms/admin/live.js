// The live view: statistics of the whole service, updated every few seconds.
import { showCharts } from "./charts.js";
import { pageTopic, setStatus } from "./connection.js";
import {
  addWarnings, available, setAvailable, setWarnings, showBusiestRooms, showProcesses, showWarnings,
} from "./live_tables.js";
import { addReport, INTERVAL_SECONDS, reset, SILENT_INTERVALS } from "./statistics.js";

const live = pageTopic();
let joined = false;
// Joined while Redis was unavailable: the past is missing until the next join.
let incomplete = false;
let lastReport = performance.now();

function showStatus() {
  const silent = performance.now() - lastReport > SILENT_INTERVALS * INTERVAL_SECONDS * 1000;
  if (!available) setStatus("stale", "Redis is unavailable");
  else if (silent) setStatus("stale", "stale: no statistics received");
  else setStatus("online", "live");
}

function show() {
  showCharts();
  showProcesses();
  showWarnings();
}

async function poll() {
  let rooms = [];
  let isAvailable = true;
  try {
    ({ rooms } = await live.push("top", {}));
  } catch ({ reason }) {
    // For other reasons the connection shows its state itself.
    if (reason !== "unavailable") return;
    isAvailable = false;
  }
  if (isAvailable && incomplete) return live.socket.close();
  setAvailable(isAvailable);
  showBusiestRooms(rooms);
  if (joined) showStatus();
}

live.addEventListener("state", ({ detail: { state, reply } }) => {
  joined = state === "online";
  if (!joined) return;
  lastReport = performance.now();
  setAvailable(reply.redis);
  incomplete = !reply.redis;
  reset(reply);
  setWarnings(reply.warnings);
  show();
  showStatus();
  poll();
});
live.addEventListener("message", ({ detail: { payload } }) => {
  if (!payload.point) return;
  lastReport = performance.now();
  addReport(payload.point);
  addWarnings(payload.warnings);
});
// Processes report one by one; all is drawn at once.
setInterval(() => {
  show();
  if (joined) poll();
}, INTERVAL_SECONDS * 1000);
live.connect();
