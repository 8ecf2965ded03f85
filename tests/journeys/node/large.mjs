// A large room, with the official client of today and with 1.3.4: `args.old`.
// Prints what the client received until it knew all members, and again when it
// continues (after a line on stdin) and knows `args.then` members.
import { createRequire } from "node:module";
import { once } from "node:events";
import WebSocket from "ws";
import { args, finish, until } from "./connect.mjs";

const result = { opens: 0, closes: 0, order: [], longest: 0, leaves: 0 };

class Counted extends WebSocket {
  constructor(...all) {
    super(...all);
    this.on("message", (data) => { result.longest = Math.max(result.longest, data.length); });
  }
}

globalThis.window = globalThis;
globalThis.WebSocket = Counted;
globalThis.XMLHttpRequest ??= class {};
const { Presence, Socket } = args.old
  ? createRequire(import.meta.url)("phoenix-1-3")
  : await import("phoenix");

const socket = new Socket(args.url, {
  transport: Counted,
  params: { user_token: args.ada, ...(args.old ? {} : { vsn: "2.0.0" }) },
});
socket.onOpen(() => { result.opens += 1; });
socket.onClose(() => { result.closes += 1; });
socket.connect();
const channel = socket.channel(`room:${args.room}`, {
  room_token: args.room_token,
  session_id: "1",
});

let state = {};
const left = () => { result.leaves += 1; };
let current = () => state;
if (args.old) {
  channel.on("presence_state", (next) => {
    state = Presence.syncState(state, next, () => {}, left);
  });
  channel.on("presence_diff", (diff) => {
    state = Presence.syncDiff(state, diff, () => {}, left);
  });
} else {
  const presence = new Presence(channel);
  presence.onLeave(left);
  current = () => presence.state;
}
for (const name of ["presence_state", "presence_diff", "beam_gap"]) {
  channel.on(name, () => result.order.push(name));
}
channel.join();

async function allPresent(count) {
  await until(`${count} members, not ${Object.keys(current()).length}`,
    () => Object.keys(current()).length === count);
  const metas = Object.values(current());
  result.metas = metas.every(({ metas: [meta, ...more] }) => more.length === 0 && meta.phx_ref);
}

await allPresent(args.members);
if (args.then !== undefined) {
  process.stdout.write(JSON.stringify(result) + "\n");
  await once(process.stdin, "data");
  result.order = [];
  await allPresent(args.then);
  if (args.until) await until(args.until, () => result.order.includes(args.until));
}
finish(result);
