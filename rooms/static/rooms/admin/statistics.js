// The statistics of all processes over the last 15 minutes, as time series.
import { now } from "./clock.js";
import { config } from "./elements.js";

const WINDOW_SECONDS = 900;
/** The length of an interval: each process reports once in it. */
export const INTERVAL_SECONDS = config.seconds;
/** A process that does not report for more intervals than this has ended. */
export const SILENT_INTERVALS = config.silent;

// Sums over all processes by interval, from the server, up to `firstOwn`.
let sums = new Map();
let firstOwn = 0;
// interval -> process -> its last report in that interval
const reports = new Map();

const intervalOf = (seconds) => Math.floor(seconds / INTERVAL_SECONDS);

export const windowStart = () => now() - WINDOW_SECONDS;

/** Keeps a report of one process. */
export function addReport(report) {
  const interval = intervalOf(report.at);
  if (!reports.has(interval)) reports.set(interval, new Map());
  reports.get(interval).set(report.process, report);
  const oldest = intervalOf(windowStart());
  for (const each of reports.keys()) if (each < oldest) reports.delete(each);
}

/** Starts again from the server's answer: sums of the past, and the last reports of each process. */
export function reset({ steps, next, points }) {
  sums = new Map(steps.map((sum) => [sum.step, sum]));
  firstOwn = next;
  reports.clear();
  points.forEach(addReport);
}

/** One statistic, summed over all processes, per interval; null if no process reported. */
export function series(name) {
  const end = intervalOf(now());
  const last = new Map();
  const values = [];
  for (let interval = end - WINDOW_SECONDS / INTERVAL_SECONDS; interval < end; interval++) {
    for (const [process, report] of reports.get(interval) ?? []) last.set(process, { report, at: interval });
    let sum = null;
    // A process that did not report in an interval counts with its report before.
    for (const [process, { report, at }] of last) {
      if (interval - at > SILENT_INTERVALS) last.delete(process);
      else sum = (sum ?? 0) + report[name];
    }
    values.push(interval < firstOwn ? (sums.get(interval)?.[name] ?? null) : sum);
  }
  return values;
}

/** The last report of each running process. */
export function latestReports() {
  const last = new Map();
  for (const each of reports.values()) for (const [process, report] of each) {
    if (report.at > (last.get(process)?.at ?? 0)) last.set(process, report);
  }
  const since = now() - INTERVAL_SECONDS * (SILENT_INTERVALS + 1);
  return [...last.values()].filter((report) => report.at > since);
}
