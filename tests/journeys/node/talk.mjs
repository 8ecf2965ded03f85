// Two members: connect, join, talk, errors, timeouts, leave.
import { args, connect, finish, roomChannel, settled, until } from "./connect.mjs";

const ada = connect(args.auth ? {} : { user_token: args.ada }, args.auth ? { authToken: args.ada } : {});
const bob = connect({ user_token: args.bob });
const result = { received: [] };

const here = roomChannel(ada, { session_id: 1 });
const there = roomChannel(bob, { session_id: "2" });
there.on("new_msg", (payload) => result.received.push(payload));
result.join = await settled(here.join());
await settled(there.join());

result.ok = await settled(here.push("new_msg", { broadcast: true, n: 1 }));
await settled(here.push("new_msg", { to: [{ session: "bob:2" }], n: 2 }));
await settled(here.push("new_msg", { to: [{ userId: "bob" }], n: 3 }));
await until("three messages", () => result.received.length === 3);
result.error = await settled(here.push("new_msg", { other: true }));
result.reserved = await settled(here.push("presence_diff", { broadcast: true }));

// A timeout receipt: with the transport held back no answer comes in time.
ada.conn._socket.pause();
result.timeout = await settled(here.push("new_msg", { broadcast: true }, 50));
ada.conn._socket.resume();

result.left = await settled(here.leave());
// In V1 the phx_close of the old channel looks like one of the new: another socket.
const again = connect({ user_token: args.ada });
result.rejoin = await settled(roomChannel(again, { session_id: 3 }).join());
finish(result);
