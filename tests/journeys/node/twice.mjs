// Two Channel objects for one topic on one socket: the second replaces the first.
import { args, connect, finish, Presence, roomChannel, settled, until } from "./connect.mjs";

const socket = connect({ user_token: args.ada });
const first = roomChannel(socket, { session_id: 1 });
const result = { firstClosed: 0, secondClosed: 0 };
await settled(first.join());
first.onClose(() => result.firstClosed++);

const second = roomChannel(socket, { session_id: 1 });
const presence = new Presence(second);
second.onClose(() => result.secondClosed++);
result.second = await settled(second.join());
await until("the first to close", () => result.firstClosed > 0);
result.push = await settled(second.push("new_msg", { broadcast: true }));
await until("one meta", () => presence.state["ada:1"]?.metas.length === 1);
result.states = [first.state, second.state];
finish(result);
