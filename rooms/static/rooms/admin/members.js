// The table of members on a room's page.
import { setTime } from "./clock.js";
import { $, config, element, json, keyedList, setText, throttled } from "./elements.js";

const MAX_ROWS = 200;
const UPDATE_MS = 500;
const HIDDEN_META = new Set(["online_at", "phx_ref", "phx_ref_prev"]);

const filter = $("beam-filter");
let presence = new Map();
// phx_ref -> the process that holds the member
let processes = {};

const metaText = (metas) =>
  metas
    .map((meta) => Object.fromEntries(Object.entries(meta).filter(([name]) => !HIDDEN_META.has(name))))
    .filter((meta) => Object.keys(meta).length)
    .map(json)
    .join("\n");

function action(path, query, text, className) {
  const link = element("a", text, className);
  link.href = `${path}?${new URLSearchParams(query)}`;
  link.setAttribute("aria-label", `${text} ${query.session ?? query.user}`);
  return link;
}

function cell(className, ...content) {
  const created = element("td", "", className);
  created.append(...content);
  return created;
}

function actionsOf(session, user) {
  if (!config.mayModerate) return [];
  const { remove, disconnect } = config.actions;
  return [
    action(remove, { session }, "Remove", "deletelink"),
    action(remove, { session, block: "" }, "Block"),
    action(disconnect, { user }, "Disconnect"),
  ];
}

function row(session) {
  const user = session.slice(0, session.lastIndexOf(":"));
  const joined = element("time"), meta = element("code"), process = cell("beam-wide-only");
  const node = document.createElement("tr");
  node.append(cell("beam-id", session), cell("beam-id beam-wide-only", user), cell("", joined));
  node.append(cell("beam-wide-only", meta), process, cell("beam-actions", ...actionsOf(session, user)));
  let shown;
  const update = (metas) => {
    setText(process, [...new Set(metas.map((one) => processes[one.phx_ref] ?? ""))].join(" "));
    if (shown === metas) return;
    shown = metas;
    setTime(joined, Number(metas[0].online_at));
    setText(meta, metaText(metas));
  };
  return { node, update };
}

const showRows = keyedList($("beam-members"), row);
const byTime = ([a, [first]], [b, [second]]) => first.online_at - second.online_at || (a < b ? -1 : 1);

function hint(found) {
  if (found > MAX_ROWS) return `${(found - MAX_ROWS).toLocaleString()} more. Filter by session to find them.`;
  return found || !presence.size ? "" : "No session contains this text.";
}

const show = throttled(() => {
  const wanted = filter.value.trim().toLowerCase();
  const found = [...presence].filter(([session]) => session.toLowerCase().includes(wanted)).sort(byTime);
  showRows(new Map(found.slice(0, MAX_ROWS)));
  setText($("beam-member-count"), presence.size.toLocaleString());
  setText($("beam-filter-hint"), hint(found.length));
  $("beam-no-members").hidden = presence.size > 0;
}, UPDATE_MS);

/** Shows these members: session -> metas. */
export function showMembers(current) {
  presence = current;
  show();
}

/** Shows the process of each member: phx_ref -> its name. */
export function showProcessesOfMembers(named) {
  processes = named;
  show();
}

filter.addEventListener("input", show);
