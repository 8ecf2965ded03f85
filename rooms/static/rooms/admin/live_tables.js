// The lists of the live view: processes, busiest rooms, warnings.
import { setTime, timeElement } from "./clock.js";
import { $, config, element, keyedList, setText } from "./elements.js";
import { mebibytes, milliseconds, percent, rate, whole } from "./numbers.js";
import { latestReports, windowStart } from "./statistics.js";

const MAX_WARNINGS = 200;

let warnings = [];
/** Whether Redis is available: all statistics come from there. */
export let available = true;

export function setAvailable(value) {
  available = value;
}

/** A table row: a first cell with `content`, and cells whose texts change. */
function row(content, classNames) {
  const node = document.createElement("tr"), first = element("td", "", "beam-id");
  const cells = classNames.map((className) => element("td", "", className));
  first.append(content);
  node.append(first, ...cells);
  return { node, cells, fill: (texts) => texts.forEach((text, n) => setText(cells[n], text)) };
}

/** Shows a text in place of an empty list. */
function showEmpty(id, length, text) {
  setText($(id), available ? text : "Redis is unavailable: no data.");
  $(id).hidden = length > 0;
}

const showProcessRows = keyedList($("beam-processes"), () => {
  const name = element("span"), started = element("time");
  const { node, cells, fill } = row(name, ["number", "number beam-wide-only", "number", "number", "number beam-wide-only", "beam-wide-only"]);
  cells.at(-1).append(started);
  const update = (report) => {
    setText(name, `${report.host} #${report.pid}`);
    setTime(started, report.started);
    fill([
      whole(report.connections),
      whole(report.topics),
      percent(report.cpu),
      mebibytes(report.memory),
      milliseconds(report.lag),
    ]);
  };
  return { node, update };
});

export function showProcesses() {
  const reports = latestReports().sort((a, b) => a.host.localeCompare(b.host) || a.pid - b.pid);
  showProcessRows(new Map(reports.map((report) => [report.process, report])));
  showEmpty("beam-no-processes", reports.length, "No process has reported statistics.");
}

const showRoomRows = keyedList($("beam-busiest"), (room_id) => {
  const link = element("a", room_id);
  link.href = `${config.room}?${new URLSearchParams({ room_id })}`;
  const { node, fill } = row(link, ["number", "number", "number"]);
  const update = ({ per_minute, sessions, users }) => fill([rate(per_minute), whole(sessions), whole(users)]);
  return { node, update };
});

export function showBusiestRooms(rooms) {
  showRoomRows(new Map(rooms.map((room) => [room.room_id, room])));
  showEmpty("beam-no-busiest", rooms.length, "No messages.");
}

const showWarningLines = keyedList($("beam-warnings"), (key) => {
  const { at, level, text } = JSON.parse(key), node = element("li");
  node.append(timeElement(at), element("span", text, level));
  return { node, update() {} };
});

/** Shows the warnings of the last 15 minutes, latest first. */
export function showWarnings() {
  const since = windowStart();
  warnings = warnings.filter(({ at }) => at > since).slice(0, MAX_WARNINGS);
  showWarningLines(new Map(warnings.map((warning) => [JSON.stringify(warning), warning])));
  showEmpty("beam-no-warnings", warnings.length, "None in the last 15 minutes.");
}

/** Shows these warnings only; latest first. */
export function setWarnings(current) {
  warnings = current;
  showWarnings();
}

/** Adds warnings; oldest first. */
export function addWarnings(added) {
  setWarnings([...added.toReversed(), ...warnings]);
}
