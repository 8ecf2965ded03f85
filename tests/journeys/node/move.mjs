// Many clients in one room, on several processes: when one process ends, its
// clients are back on another, and everybody sees everybody.
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
await until("everybody to see everybody", () => members.every(complete));

process.stdout.write("joined\n");
await until("a client to come back", () => members.some(({ opens }) => opens > 1));
await until("all of the process's clients", () =>
  members.every(({ opens, codes }) => opens === codes.length + 1));
await until("everybody to see everybody again", () => members.every(complete));
finish({ opens: members.map(({ opens }) => opens), codes: members.flatMap(({ codes }) => codes) });
