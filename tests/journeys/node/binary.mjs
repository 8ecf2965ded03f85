// ArrayBuffers in both directions, on the fixture's channels.
import { args, connect, finish, settled, until } from "./connect.mjs";

const bytes = (...numbers) => new Uint8Array(numbers).buffer;
const numbers = (buffer) => [...new Uint8Array(buffer)];
const [one, two] = ["a", "b"].map((name) => connect({ user_token: `user:${name}` }));
const here = one.channel("test:binary"), there = two.channel("test:binary");
const result = { pushed: [], received: [] };
here.on("bin_pushed", (payload) => result.pushed.push(numbers(payload)));
there.on("bin_msg", (payload) => result.received.push(numbers(payload)));
await settled(here.join());
await settled(there.join());

const [status, reply] = await settled(here.push("bin_echo", bytes(0, 1, 255)));
result.echo = [status, numbers(reply)];
here.push("bin_push", bytes(7));
here.push("bin_broadcast", bytes(8, 9));
await until("both", () => result.pushed.length && result.received.length);
finish(result);
