// Many clients in one room, on several processes: when one process ends, its
// clients connect to another, and all members see all members.
import { args, connect, finish, Presence, roomChannel, settled, until } from "./connect.mjs";

const members = args.users.map((user_token) => {
  const socket = connect({ user_token });
  const channel = roomChannel(socket, { session_id: 1 });
  const member = { channel, presence: new Presence(channel), opens: 0, codes: [] };
  socket.onOpen(() => member.opens++);
  socket.onClose((event) => member.codes.push(event.code));
  return member;
});
const seen = (member) => member.presence.list((key, { metas }) => [key, metas.length]);
const complete = (member) => {
  const all = seen(member);
  return member.channel.state === "joined" && all.length === members.length
    && all.every(([, metas]) => metas === 1);
};
await Promise.all(members.map(({ channel }) => settled(channel.join())));
await until("all members to see all members", () => members.every(complete));

process.stdout.write("joined\n");
await until("a client to come back", () => members.some(({ opens }) => opens > 1));
await until("all of the process's clients", () =>
  members.every(({ opens, codes }) => opens === codes.length + 1));
await until("all members to see all members again", () => members.every(complete));
finish({ opens: members.map(({ opens }) => opens), codes: members.flatMap(({ codes }) => codes) });
