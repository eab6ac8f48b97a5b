export { createWebSocketTransport } from "@thrivereflections/realtime-transport-websocket";
