// The events on a room's page: live events, and recent events of backends.
import { now, timeElement } from "./clock.js";
import { $, element, json, keyedList, setText, throttled } from "./elements.js";

const MAX_EVENTS = 200;
const UPDATE_MS = 250;

const list = $("beam-live-events");
let received = [];

function line(at, event, sender) {
  const node = element("li"), head = element("span");
  head.append(element("span", event, "event"), " ", element("span", sender, "sender"));
  node.append(timeElement(at), head);
  return node;
}

const showReceived = throttled(() => {
  const lines = received.reverse().map(({ at, event, sender, payload }) => {
    const node = line(at, event, sender);
    node.append(element("code", json(payload)));
    return node;
  });
  received = [];
  list.prepend(...lines);
  while (list.children.length > MAX_EVENTS) list.lastElementChild.remove();
  $("beam-no-live-events").hidden = true;
}, UPDATE_MS);

/** Adds an event to the live events. */
export function addEvent(event, { from, ...payload }) {
  const sender = from?.session ?? (event.startsWith("beam_") ? "Beam" : "backend");
  received.push({ at: now(), event, sender, payload });
  if (received.length > MAX_EVENTS) received.shift();
  showReceived();
}

const showRecords = keyedList($("beam-backend-events"), (key) => {
  const { at, event, by } = JSON.parse(key);
  return { node: line(at, event, by), update() {} };
});

/** Shows the recent events of backends, latest first. */
export function showBackendEvents(records) {
  showRecords(new Map(records.map((record) => [JSON.stringify(record), record])));
  const heading = records.length ? "Backend events" : "Recent backend events (none in the last hour)";
  setText($("beam-backend-heading"), heading);
  setText($("beam-backend-count"), records.length ? `the latest ${records.length} of the last hour` : "");
}
