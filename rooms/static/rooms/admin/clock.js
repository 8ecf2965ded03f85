// Times of the admin's live pages: the server's clock, in the browser's time zone.
import { setText } from "./elements.js";

const HOURS = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const TIME = new Intl.DateTimeFormat([], HOURS);
const DATE_AND_TIME = new Intl.DateTimeFormat([], { day: "numeric", month: "short", ...HOURS });
const FULL = new Intl.DateTimeFormat([], { dateStyle: "full", timeStyle: "long" });
const DAY_CHECK_MS = 60_000;

// Server time minus browser time, in seconds.
let offset = 0;

/** The server's Unix time. */
export const now = () => Date.now() / 1000 + offset;

export function setServerTime(seconds) {
  offset = seconds - Date.now() / 1000;
}

const today = () => new Date(now() * 1000).toDateString();

/** Shows a Unix time in a <time>; the date is added unless it is today. */
export function setTime(node, seconds) {
  const date = new Date(seconds * 1000);
  if (node.dateTime !== date.toISOString()) node.dateTime = date.toISOString();
  const format = date.toDateString() === today() ? TIME : DATE_AND_TIME;
  setText(node, format.format(date));
  node.title = FULL.format(date);
}

export function timeElement(seconds) {
  const created = document.createElement("time");
  setTime(created, seconds);
  return created;
}

function updateAll() {
  for (const node of document.querySelectorAll("time[datetime]")) setTime(node, Date.parse(node.dateTime) / 1000);
}

updateAll();
let day = today();
setInterval(() => {
  if (day === today()) return;
  day = today();
  updateAll();
}, DAY_CHECK_MS);
