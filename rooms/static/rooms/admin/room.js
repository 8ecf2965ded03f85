// A room's page in the admin: members and events, updated live.
import { pageTopic, setStatus } from "./connection.js";
import { $, setText, throttled } from "./elements.js";
import { showMembers, showProcessesOfMembers } from "./members.js";
import { addEvent, showBackendEvents } from "./room_events.js";

// No event reports that a room was opened, or what other processes' backends sent.
const POLL_MS = 5_000;
const MIN_POLL_MS = 1_000;

const room = pageTopic();

function showState(closed) {
  const badge = $("beam-room-state");
  setText(badge, closed ? "closed" : "open");
  badge.className = `beam-state ${closed ? "beam-closed" : "beam-live"}`;
  for (const [id, hidden] of [["beam-open-room", !closed], ["beam-close-room", closed]]) if ($(id)) $(id).hidden = hidden;
}

const poll = throttled(async () => {
  let answer;
  try {
    answer = await room.push("room", {});
  } catch ({ reason }) {
    // For other reasons the connection shows its state itself.
    if (reason === "unavailable") setStatus("stale", "Redis is unavailable");
    return;
  }
  setStatus("online", "live");
  showProcessesOfMembers(answer.owners);
  showState(answer.closed);
  showBackendEvents(answer.sent);
}, MIN_POLL_MS);

room.addEventListener("state", ({ detail }) => detail.state === "online" && poll());
room.addEventListener("presence", () => {
  showMembers(room.presence);
  poll();
});
room.addEventListener("message", ({ detail: { event, payload } }) => {
  addEvent(event, payload);
  if (!payload.from) poll();
});
setInterval(poll, POLL_MS);
room.connect();
