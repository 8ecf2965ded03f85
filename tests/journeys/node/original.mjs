// The flow of the original service's own web client.
import { args, connect, finish, Presence, settled, until } from "./connect.mjs";

const open = (token, session_id) => {
  const socket = connect({ user_token: token });
  const channel = socket.channel(`room:${args.room}`, { room_token: args.room_token, session_id });
  const seen = { messages: [], presence: {} };
  channel.on("new_msg", (message) => seen.messages.push(message));
  channel.on("presence_state", (state) => { seen.presence = Presence.syncState(seen.presence, state); });
  channel.on("presence_diff", (diff) => { seen.presence = Presence.syncDiff(seen.presence, diff); });
  return { channel, seen };
};

const ada = open(args.ada, 4711), bob = open(args.bob, 42);
await settled(ada.channel.join());
await settled(bob.channel.join());
const both = ({ seen }) => Object.keys(seen.presence).length === 2;
await until("both to see both", () => both(ada) && both(bob));

const session = Object.keys(ada.seen.presence).find((key) => key.split(":")[0] === "bob");
ada.channel.push("new_msg", { type: "SIGNAL", to: [{ userId: "bob" }], content: { sdp: "x" } });
ada.channel.push("new_msg", { type: "SIGNAL", to: [{ session }], content: 2 });
ada.channel.push("new_msg", { type: "CHAT", broadcast: true, content: 3 });
await until("three messages", () => bob.seen.messages.length === 3);

// An answer to the sender: `from` is a valid entry of `to`.
bob.channel.push("new_msg", { type: "ANSWER", to: [bob.seen.messages[0].from] });
await until("the answer", () => ada.seen.messages.length === 1);

const response = await fetch(`${args.http}/api/v1/push_room_event`, {
  method: "POST",
  headers: { "content-type": "application/json", secret: "dev-secret" },
  body: JSON.stringify({ room_id: args.room, event: "new_msg", payload: { type: "ROOM_UPDATED" } }),
});
await until("the backend's event", () => ada.seen.messages.length === 2 && bob.seen.messages.length === 4);
finish({ status: response.status, ada: ada.seen.messages, bob: bob.seen.messages });
