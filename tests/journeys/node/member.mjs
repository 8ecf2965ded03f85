// A member that joins and stays until its process ends.
import { args, connect, roomChannel } from "./connect.mjs";

const socket = connect({ user_token: args.ada });
roomChannel(socket, { session_id: "child" }).join();
