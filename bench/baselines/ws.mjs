// node `ws`: a minimal relay. The room is the path.
import { WebSocketServer, WebSocket } from "ws";

const rooms = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false });
server.on("connection", (socket, request) => {
  const members = rooms.get(request.url) ?? new Set();
  rooms.set(request.url, members.add(socket));
  socket.on("message", (data) => {
    for (const member of members) {
      if (member !== socket && member.readyState === WebSocket.OPEN) member.send(data, { binary: false });
    }
  });
  socket.on("close", () => members.delete(socket));
  socket.send('"joined"');
});
