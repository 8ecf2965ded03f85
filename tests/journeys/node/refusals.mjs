// Invalid tokens: in the handshake and in joins.
import { args, connect, finish, roomChannel, settled, until, WebSocket } from "./connect.mjs";

const result = {};
const bad = connect({ user_token: "garbage" });
let errors = 0;
bad.onError(() => errors++);
await until("a refused handshake", () => errors > 0);
bad.disconnect();
result.open = bad.isConnected();

const raw = new WebSocket(`${args.url}/websocket?vsn=2.0.0&user_token=garbage`);
result.status = await new Promise((resolve) => {
  raw.on("unexpected-response", (_, response) => resolve(response.statusCode));
  raw.on("error", () => {});
});

const ada = connect({ user_token: args.ada });
result.joins = {};
for (const [name, room_token] of Object.entries(args.tokens)) {
  const channel = roomChannel(ada, { session_id: 1 }, { room_token });
  result.joins[name] = await settled(channel.join());
  channel.leave();
}
finish(result);
