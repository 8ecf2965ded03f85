// A member sends 500 numbered messages to a member on another process.
import { args, connect, finish, Presence, roomChannel, settled, until } from "./connect.mjs";

const sender = connect({ user_token: args.ada }), bob = connect({ user_token: args.bob }, {});
const there = new (bob.constructor)(args.other, { transport: sender.transport, params: { user_token: args.bob } });
bob.disconnect();
there.connect();

const from = roomChannel(sender, { session_id: 1 });
const to = roomChannel(there, { session_id: 1 });
const here = new Presence(from), over = new Presence(to);
const received = [], direct = [];
to.on("new_msg", ({ n }) => received.push(n));
to.on("whisper", ({ n }) => direct.push(n));
await settled(from.join());
await settled(to.join());
const keys = (presence) => presence.list((key) => key).sort().join();
await until("both sides to agree", () => keys(here) === "ada:1,bob:1" && keys(over) === "ada:1,bob:1");

const pushes = [];
for (let n = 0; n < 500; n++) pushes.push(settled(from.push("new_msg", { broadcast: true, n })));
const replies = (await Promise.all(pushes)).map(([status]) => status);
await settled(from.push("whisper", { to: [{ session: "bob:1" }], n: 1 }));
await until("the whisper", () => direct.length === 1);

await settled(to.leave());
await until("the leave", () => keys(here) === "ada:1");
finish({ received, direct, ok: replies.filter((status) => status === "ok").length });
