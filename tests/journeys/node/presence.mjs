// The Presence class: sessions, connections, updates, every kind of leave.
import { spawn } from "node:child_process";
import { args, connect, finish, Presence, roomChannel, settled, until } from "./connect.mjs";

const result = { joins: [], leaves: [] };
const bob = connect({ user_token: args.bob });
const watching = roomChannel(bob, { session_id: "w" });
const presence = new Presence(watching);
presence.onJoin((key, current, meta) => result.joins.push([key, meta.metas.length]));
presence.onLeave((key, current, left) => result.leaves.push([key, current.metas.length]));
await settled(watching.join());
const metas = (key) => presence.state[key]?.metas ?? [];
await until("oneself", () => metas("bob:w").length === 1);

// Two sessions of a user, and the first of them on two connections.
const sockets = [1, 2, 3].map(() => connect({ user_token: args.ada }));
const channels = ["1", "2", "1"].map((session_id, at) =>
  roomChannel(sockets[at], { session_id }, { meta: { at } }));
for (const channel of channels) await settled(channel.join());
await until("three metas", () => metas("ada:1").length === 2 && metas("ada:2").length === 1);
result.keys = presence.list((key) => key).sort();
result.oldestFirst = metas("ada:1").map((meta) => meta.at);

// An update replaces one's own meta and keeps the key.
const before = metas("ada:2")[0];
result.update = await settled(channels[1].push("presence_update", { meta: { mood: "great" } }));
await until("the update", () => metas("ada:2")[0]?.mood === "great");
const after = metas("ada:2")[0];
result.chained = after.phx_ref_prev === before.phx_ref && after.phx_ref !== before.phx_ref;
result.onlineAt = after.online_at === before.online_at;

// Leave, close, and a client whose process is killed.
await settled(channels[0].leave());
await until("one meta less", () => metas("ada:1").length === 1);
sockets[2].disconnect();
await until("the key gone", () => metas("ada:1").length === 0);
sockets[1].disconnect();
await until("the other key gone", () => metas("ada:2").length === 0);

const child = spawn(process.execPath, [new URL("./member.mjs", import.meta.url).pathname, JSON.stringify(args)]);
await until("the other process", () => metas("ada:child").length === 1);
child.kill("SIGKILL");
await until("its leave", () => metas("ada:child").length === 0);
result.left = presence.list((key) => key);
finish(result);
