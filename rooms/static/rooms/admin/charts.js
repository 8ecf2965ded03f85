// The charts of the live view: one tile for each statistic.
import { $, element } from "./elements.js";
import { rate, whole } from "./numbers.js";
import { INTERVAL_SECONDS, series } from "./statistics.js";

// Charts of a service that has just started still cover this time.
const MIN_SECONDS = 120;
const HEIGHT = 64;
const BASE = 60;
const PEAK = 6;

const TILES = [
  ["connections", "Connections", whole],
  ["members", "Members", whole],
  ["joins", "Joins per second", rate],
  ["messages", "Messages per second", rate],
  ["deliveries", "Deliveries per second", rate],
  ["errors", "Errors per second", rate],
];

function svg(name, attributes) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  return created;
}

function tile(name, label) {
  const node = element("div", "", "beam-tile"), axis = element("div", "", "axis");
  node.dataset.name = name;
  node.append(element("span", "", "peak"), element("div", label, "name"), element("div", "–", "value"));
  node.append(svg("svg", { preserveAspectRatio: "none", role: "img", "aria-label": `${label}, last 15 minutes` }));
  axis.append(element("span", "15 minutes ago"), element("span", "now"));
  node.append(axis);
  return node;
}

/** Without the time before the first report of any process. */
function sinceFirstReport(values) {
  const first = values.findIndex((value) => value !== null);
  const shortest = values.length - MIN_SECONDS / INTERVAL_SECONDS;
  return values.slice(Math.min(first < 0 ? values.length : first, shortest));
}

/** Groups of neighbouring points; a missing value ends a group. */
function segments(values, highest) {
  const found = [[]];
  values.forEach((value, x) => {
    if (value !== null) found.at(-1).push(`${x} ${(BASE - ((BASE - PEAK) * value) / highest).toFixed(1)}`);
    else if (found.at(-1).length) found.push([]);
  });
  return found.filter((points) => points.length > 1);
}

function draw(drawing, values, highest) {
  drawing.setAttribute("viewBox", `0 0 ${values.length - 1} ${HEIGHT}`);
  drawing.replaceChildren(svg("path", { class: "base", d: `M0 ${BASE}H${values.length - 1}` }));
  for (const points of segments(values, highest)) {
    const line = points.join("L");
    const [first, last] = [points[0], points.at(-1)].map((point) => point.split(" ")[0]);
    drawing.append(
      svg("path", { class: "area", d: `M${first} ${BASE}L${line}L${last} ${BASE}Z` }),
      svg("path", { class: "line", d: `M${line}` }),
    );
  }
}

function showTile(node, values, format) {
  const numbers = values.filter((value) => value !== null);
  const peak = Math.max(...numbers, 0);
  const latest = values.at(-1) ?? null;
  draw(node.querySelector("svg"), values, peak || 1);
  node.querySelector(".value").textContent = latest === null ? "–" : format(latest);
  node.querySelector(".peak").textContent = numbers.length ? `peak ${format(peak)}` : "";
  const minutes = Math.round((values.length * INTERVAL_SECONDS) / 60);
  node.querySelector(".axis").firstChild.textContent = `${minutes} minutes ago`;
}

const tiles = TILES.map(([name, label, format]) => ({ name, format, node: tile(name, label) }));
$("beam-tiles").append(...tiles.map(({ node }) => node));

export function showCharts() {
  for (const { name, format, node } of tiles) showTile(node, sinceFirstReport(series(name)), format);
}
