// What every scenario uses: the official client, promises around its callbacks,
// and one JSON line on stdout as the result. Arguments come as JSON in argv[2].
import { Presence, Socket } from "phoenix";
import WebSocket from "ws";

export { Presence, Socket, WebSocket };
export const args = JSON.parse(process.argv[2] ?? "{}");

// A scenario that hangs fails with what it was waiting for.
let waitingFor = "the scenario to begin";
const limit = setTimeout(() => {
  console.error(`timed out while waiting for ${waitingFor}`);
  process.exit(1);
}, 20_000);

// The client's `vsn` option names the serializer to the server; the client's own
// is V2, so V1 comes from here, as an application of that age would have it.
const serializers = {
  "1.0.0": {
    encode: ({ topic, event, payload, ref }, callback) =>
      callback(JSON.stringify({ topic, event, payload, ref })),
    decode: (text, callback) => callback(JSON.parse(text)),
  },
  "2.0.0": {},
};

export function connect(params, options = {}) {
  const socket = new Socket(args.url, {
    transport: WebSocket,
    params,
    vsn: args.vsn ?? "2.0.0",
    ...serializers[args.vsn ?? "2.0.0"],
    ...options,
  });
  socket.connect();
  return socket;
}

// One push or join: resolves with [status, response].
export function settled(push) {
  return new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) {
      push.receive(status, (response) => resolve([status, response]));
    }
  });
}

// Resolves once `condition()` is true, which is asked again after every turn.
export async function until(what, condition) {
  waitingFor = what;
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

export function roomChannel(socket, member, extra = {}) {
  return socket.channel(`room:${args.room}`, {
    room_token: args.room_token,
    session_id: member.session_id,
    ...extra,
  });
}

/** For a scenario without an end of its own: the test stops it. */
export function stay() {
  clearTimeout(limit);
}

export function finish(result) {
  clearTimeout(limit);
  process.stdout.write(JSON.stringify(result) + "\n", () => process.exit(0));
}
