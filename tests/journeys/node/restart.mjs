// The server restarts: the client rejoins by itself, with its presence.
import { args, connect, finish, Presence, roomChannel, settled, until } from "./connect.mjs";

const socket = connect({ user_token: args.ada });
const channel = roomChannel(socket, { session_id: 1 });
const presence = new Presence(channel);
const received = [];
let opens = 0, syncs = 0;
socket.onOpen(() => opens++);
presence.onSync(() => syncs++);
channel.on("new_msg", (payload) => received.push(payload));
await settled(channel.join());
await until("oneself", () => presence.state["ada:1"]);
const ref = presence.state["ada:1"].metas[0].phx_ref;

process.stdout.write("joined\n");
await until("the second open", () => opens === 2);
await until("the rejoin", () => channel.state === "joined");
await until("a new presence", () => {
  const metas = presence.state["ada:1"]?.metas ?? [];
  return metas.length === 1 && metas[0].phx_ref !== ref;
});
process.stdout.write("rejoined\n");
await until("a message", () => received.length === 1);
finish({ opens, received, keys: presence.list((key) => key) });
