// Half a surrogate pair, as `"😀".slice(0, 1)` makes one: in a meta, and in a message.
import { args, connect, finish, roomChannel, settled, until } from "./connect.mjs";

const HALF = "😀".slice(0, 1);
const WATCH_MS = 3_000;
const result = { opens: 0, joins: 0, closes: [] };

const ada = connect({ user_token: args.ada });
ada.onOpen(() => result.opens++);
ada.onClose((event) => result.closes.push(event.code));
const push = ada.push.bind(ada);
ada.push = (data, ...rest) => {
  if (data.event === "phx_join" && data.topic === `room:${args.other}`) result.joins++;
  return push(data, ...rest);
};

const good = roomChannel(ada, { session_id: 1 });
result.good = await settled(good.join());
const bad = ada.channel(`room:${args.other}`, {
  room_token: args.other_token,
  session_id: 1,
  meta: { name: HALF },
});
result.bad = await settled(bad.join());
const began = Date.now();
await until("some seconds to pass", () => Date.now() - began > WATCH_MS);

result.message = await settled(good.push("new_msg", { broadcast: true, text: HALF }));
result.after = await settled(good.push("new_msg", { broadcast: true, text: "😀" }));
result.state = good.state;
finish(result);
