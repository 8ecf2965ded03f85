// A client whose every message closes its connection: V1 objects on a V2 socket, as an
// application with an old serializer sends them. It reconnects at once.
import { args, connect, finish, roomChannel, settled, until } from "./connect.mjs";

const FIRST_MS = 4_000;
const THEN_MS = 4_000;

const bob = roomChannel(connect({ user_token: args.bob }), { session_id: 1 });
const result = { bob: await settled(bob.join()), opens: 0 };

const ada = connect({ user_token: args.looper }, {
  encode: ({ topic, event, payload, ref }, callback) =>
    callback(JSON.stringify({ topic, event, payload, ref })),
});
ada.onOpen(() => result.opens++);
roomChannel(ada, { session_id: 1 }).join();

let began = Date.now();
await until("the first seconds to pass", () => Date.now() - began > FIRST_MS);
result.first = result.opens;
began = Date.now();
await until("some more to pass", () => Date.now() - began > THEN_MS);
result.then = result.opens - result.first;

// Another user of the same client IP connects at once.
began = Date.now();
const eve = connect({ user_token: args.eve });
await until("another user to connect", () => eve.isConnected());
result.eve = Date.now() - began;
result.after = await settled(bob.push("new_msg", { broadcast: true }));
finish(result);
