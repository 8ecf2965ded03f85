// Two members: connect, join, talk, errors, timeouts, leave.
import { args, connect, finish, roomChannel, settled, until } from "./connect.mjs";

const ada = connect(args.auth ? {} : { user_token: args.ada }, args.auth ? { authToken: args.ada } : {});
const bob = connect({ user_token: args.bob });
const result = { heard: [] };

const here = roomChannel(ada, { session_id: 1 });
const there = roomChannel(bob, { session_id: "2" });
there.on("new_msg", (payload) => result.heard.push(payload));
result.join = await settled(here.join());
await settled(there.join());

result.ok = await settled(here.push("new_msg", { broadcast: true, n: 1 }));
await settled(here.push("new_msg", { to: [{ session: "bob:2" }], n: 2 }));
await settled(here.push("new_msg", { to: [{ userId: "bob" }], n: 3 }));
await until("three messages", () => result.heard.length === 3);
result.error = await settled(here.push("new_msg", { nobody: true }));
result.reserved = await settled(here.push("presence_diff", { broadcast: true }));

// A timeout receipt: with the transport held back no answer comes in time.
ada.conn._socket.pause();
result.timeout = await settled(here.push("new_msg", { broadcast: true }, 50));
ada.conn._socket.resume();

result.left = await settled(here.leave());
// V1 cannot tell the old channel's phx_close from a new one's: another socket.
const again = connect({ user_token: args.ada });
result.rejoin = await settled(roomChannel(again, { session_id: 3 }).join());
finish(result);
