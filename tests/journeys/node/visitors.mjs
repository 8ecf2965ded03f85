// Users in a room that send all the time. Prints each event as a line of JSON;
// after a line "join NAME" on stdin that user tries to join again.
import { createInterface } from "node:readline";
import { args, connect, roomChannel, settled, stay, until } from "./connect.mjs";

const TALK_MS = 150;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const members = new Map();
for (const [name, user_token] of Object.entries(args.users)) {
  const socket = connect({ user_token });
  const member = { socket, name };
  members.set(name, member);
  member.enter = () => {
    const channel = roomChannel(socket, { session_id: 1 }, { meta: { name } });
    member.channel = channel;
    channel.on("beam_removed", ({ reason }) => say({ name, event: "beam_removed", reason }));
    channel.on("notice", (payload) => say({ name, event: "notice", payload }));
    channel.onClose(() => {
      if (channel === member.channel) say({ name, event: "phx_close" });
    });
    return settled(channel.join());
  };
  await member.enter();
}
await until("all members to be joined", () =>
  [...members.values()].every(({ channel }) => channel.state === "joined"));
stay();
say({ event: "joined" });

createInterface({ input: process.stdin }).on("line", async (line) => {
  const [, name] = line.split(" ");
  const member = members.get(name);
  const [status, response] = await member.enter();
  if (status !== "ok") member.channel.leave();
  say({ name, event: "answer", status, reason: response.reason });
});

let n = 0;
setInterval(() => {
  for (const { name, channel } of members.values()) {
    if (channel.state === "joined") channel.push("new_msg", { broadcast: true, text: `${name} says ${n++}` });
  }
}, TALK_MS);
// The end of stdin is the end.
process.stdin.on("end", () => process.exit(0));
setTimeout(() => process.exit(1), 120_000).unref();
