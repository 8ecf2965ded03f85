// Elements of the admin's live pages.

const MAX_TEXT = 2_000;

export const $ = (id) => document.getElementById(id);
/** What the server passes to the page's scripts. */
export const config = JSON.parse($("beam-config").textContent);

/** An element with text. Text of clients is never parsed as HTML. */
export function element(name, text = "", className = "") {
  const created = document.createElement(name);
  created.textContent = text;
  if (className) created.className = className;
  return created;
}

/** Sets a text only if it differs, so that screen readers announce changes only. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A value as JSON, cut after 2,000 characters. */
export function json(value) {
  const text = JSON.stringify(value);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} …` : text;
}

/**
 * Returns a function that shows a Map of items as children of `parent`, one per key.
 * Nodes whose key stays are updated in place, which keeps the focus and the selection.
 * `create(key)` returns {node, update}; `update(item)` is called each time.
 */
export function keyedList(parent, create) {
  const shown = new Map();
  return (items) => {
    const focused = document.activeElement;
    for (const [key, { node }] of shown) {
      if (items.has(key)) continue;
      node.remove();
      shown.delete(key);
    }
    let next = parent.firstElementChild;
    for (const [key, item] of items) {
      if (!shown.has(key)) shown.set(key, create(key));
      const { node, update } = shown.get(key);
      update(item);
      if (node === next) next = next.nextElementSibling;
      else parent.insertBefore(node, next);
    }
    // Rows that the server rendered.
    while (next) {
      const rendered = next;
      next = rendered.nextElementSibling;
      rendered.remove();
    }
    // Moving a node takes the focus from it.
    if (parent.contains(focused)) focused.focus({ preventScroll: true });
  };
}

/** Returns a function that calls `work` at most once in `ms`, and not while the page is hidden. */
export function throttled(work, ms) {
  let scheduled = false;
  let next = 0;
  const run = () => {
    scheduled = false;
    work();
    next = performance.now() + ms;
  };
  return () => {
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => requestAnimationFrame(run), Math.max(0, next - performance.now()));
  };
}
