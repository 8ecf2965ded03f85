// Eve sends events with the names of replies, to settle ada's pushes.
import { args, connect, finish, roomChannel, settled } from "./connect.mjs";

const ada = roomChannel(connect({ user_token: args.ada }), { session_id: "v" });
const bob = roomChannel(connect({ user_token: args.bob }), { session_id: 1 });
const result = { joins: [await settled(ada.join()), await settled(bob.join())] };

// A push that is never sent, with a known ref: only a forged reply can settle it.
const silent = new Promise((resolve) => {
  const send = ada.socket.push.bind(ada.socket);
  ada.socket.push = (data, ...rest) => (data.event === "asked" ? resolve(data) : send(data, ...rest));
});
const asked = ada.push("asked", {}, 2_000);
const { ref } = await silent;

const to = [{ session: "ada:v" }];
const forged = { to, status: "ok", response: { forged: true } };
result.forgeries = [];
for (const name of [`chan_reply_${ref}`, `CHAN_REPLY_${ref}`, "phx_reply", "phx_close", "phx_error", "presence_state"]) {
  result.forgeries.push(await settled(bob.push(name, forged)));
}
result.asked = await settled(asked);
result.state = ada.state;
finish(result);
