// Many clients send in one room while the server's processes are replaced one by
// one. Prints for how long each was disconnected, and absent for the others.
import { args, connect, finish, Presence, roomChannel, settled, until } from "./connect.mjs";

const now = () => performance.now();
let replaced = false;
process.stdin.once("data", () => { replaced = true; });

const longest = { disconnected: 0, absent: 0 };
const refused = {};
let answered = 0;

const members = args.users.map((user_token, number) => {
  const socket = connect({ user_token });
  const channel = roomChannel(socket, { session_id: 1 });
  const member = {
    number, channel, presence: new Presence(channel),
    opens: 0, codes: [], sent: 0, lost: null, absent: {}, received: {}, wrong: [],
  };
  socket.onOpen(() => member.opens++);
  socket.onClose((event) => {
    member.codes.push(event.code);
    member.lost ??= now();
  });
  channel.on("new_msg", ({ n, open, from }) => {
    const key = `${from.session} ${open}`;
    if (n <= (member.received[key] ?? -1)) member.wrong.push(`${key}: ${n} after ${member.received[key]}`);
    member.received[key] = n;
  });
  // `onLeave` is called for each meta; a member without metas is absent.
  member.presence.onLeave((key, current) => {
    if (current.metas.length === 0) member.absent[key] = now();
  });
  member.presence.onJoin((key) => {
    if (key in member.absent) longest.absent = Math.max(longest.absent, now() - member.absent[key]);
    delete member.absent[key];
  });
  return member;
});

const complete = (member) => {
  const all = member.presence.list((key, { metas }) => metas.length);
  return member.channel.state === "joined" && all.length === members.length
    && all.every((metas) => metas === 1);
};
for (const member of members) {
  member.channel.join().receive("ok", () => {
    if (member.lost !== null) longest.disconnected = Math.max(longest.disconnected, now() - member.lost);
    member.lost = null;
  });
}
await until("all members to see all members", () => members.every(complete));
process.stdout.write("joined\n");

let talking = true;
async function talk(member) {
  while (talking) {
    if (member.channel.state === "joined") {
      const message = { broadcast: true, n: member.sent++, open: member.opens };
      settled(member.channel.push("new_msg", message)).then(([status, response]) => {
        if (status === "ok") answered++;
        else refused[response?.reason ?? status] = (refused[response?.reason ?? status] ?? 0) + 1;
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
for (const member of members) talk(member);

await until("every client to be moved", () => members.every(({ opens }) => opens > 1));
await until("a line on stdin: all processes were replaced", () => replaced);
await until("all members to see all members again", () => members.every(complete));
talking = false;
finish({
  longest, refused, answered,
  codes: [...new Set(members.flatMap(({ codes }) => codes))],
  wrong: members.flatMap(({ wrong }) => wrong),
  received: members.map(({ received }) => Object.keys(received).length),
});
