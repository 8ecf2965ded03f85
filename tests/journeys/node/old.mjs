// phoenix 1.3.4, as the original's users run it: static Presence functions,
// no queue for early diffs, and every repeated join counts.
import { createRequire } from "node:module";
import WebSocket from "ws";

globalThis.window = globalThis;
globalThis.WebSocket = WebSocket;
globalThis.XMLHttpRequest ??= class {};
const { Presence, Socket } = createRequire(import.meta.url)("phoenix-1-3");
const { args, finish, settled, until } = await import("./connect.mjs");

const result = { joins: {}, order: [], received: [] };
const member = (token, session_id) => {
  const socket = new Socket(args.url, { transport: WebSocket, params: { user_token: token } });
  socket.connect();
  return socket.channel(`room:${args.room}`, { room_token: args.room_token, session_id });
};

const others = [1, 2, 3].map((session) => member(args.ada, session));
for (const other of others) await settled(other.join());

let state = {};
const count = (key) => { result.joins[key] = (result.joins[key] ?? 0) + 1; };
const bob = member(args.bob, "b");
bob.on("presence_state", (next) => {
  result.order.push("state");
  state = Presence.syncState(state, next, count, () => {});
});
bob.on("presence_diff", (diff) => {
  result.order.push("diff");
  state = Presence.syncDiff(state, diff, count, () => {});
});
bob.on("new_msg", (payload) => result.received.push(payload.n));
result.join = await settled(bob.join());
await until("all members", () => Object.keys(state).length === 4);

result.push = await settled(others[0].push("new_msg", { to: [{ userId: "bob" }], n: 1 }));
await settled(others[1].push("new_msg", { broadcast: true, n: 2 }));
await until("both messages", () => result.received.length === 2);
await settled(others[0].leave());
await until("a leave", () => Object.keys(state).length === 3);
result.metas = Object.values(state).map(({ metas }) => metas.length);
finish(result);
