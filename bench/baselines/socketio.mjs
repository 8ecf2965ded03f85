// Socket.IO: a room, `socket.to(room).emit`.
import { Server } from "socket.io";

const io = new Server(Number(process.argv[2]), { transports: ["websocket"], pingInterval: 600_000 });
io.on("connection", (socket) => {
  const room = socket.handshake.query.room;
  socket.join(room);
  socket.on("msg", (body) => socket.to(room).emit("msg", body));
  socket.emit("joined");
});
